"""Preferences and rewards train what a bundled trainer saved: the formulas, what the log holds, exact resume, faults."""

import math

import pytest
import torch

from tests.trainers.conftest import TINY, read, values
from trainers import checkpoints, completions, faults, saved_models
from trainers.__main__ import main
from trainers.faults import post_training as spoiled
from trainers.transformer import Settings, Transformer

CPU = torch.device("cpu")
SMALL = {
    "prompt-tokens": 4,
    "completion-tokens": 8,
    "target-length": 4,
    "eval-prompts": 16,
    "eval-every": 5,
    "steps": 10,
}
OWN = {"dpo": {"pairs": 64, "batch-size": 8}, "grpo": {"prompts": 4, "group-size": 4}}
OWN["reward-model"] = OWN["dpo"]


LEARNS = {"steps": 40, "lr": 0.003, "pairs": 1000, "batch_size": 32, "eval_prompts": 200}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder with a tiny model that hardly knows the text."""
    folder = tmp_path_factory.mktemp("start")
    torch.set_num_threads(1)
    log = ["--log", str(folder / "a.jsonl")]
    assert main(["transformer", *TINY, "--steps", "30", "--lr", "0.01", "--save", *log]) == 0
    return folder / "a.checkpoints" / "final"


@pytest.fixture
def post_train(start, tmp_path):
    """Run `dpo` or `grpo`; return the records of the log."""

    def run(name, *arguments, log="b.jsonl", code=0, pretrained=start, **settings):
        words = {"pretrained": pretrained, **SMALL, **OWN[name], **settings, "log": tmp_path / log}
        given = [w for key, value in words.items() for w in (f"--{key.replace('_', '-')}", str(value))]
        assert main([name, *given, *map(str, arguments)]) == code
        return read(tmp_path / log)

    return run


def test_preferences_are_learned_and_logged_under_the_usual_names(post_train):
    records = post_train("dpo", **LEARNS)
    header, steps = records[0], [r for r in records if r["type"] == "step"]
    assert (header["method"], header["task"], "loss_unit" in header) == ("dpo", "preference", False)
    assert steps[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert steps[0]["rewards/margins"] == 0
    for step in steps:
        assert step["rewards/margins"] == pytest.approx(step["rewards/chosen"] - step["rewards/rejected"], abs=1e-5)
    margins, accuracies = (values(records, f"rewards/{name}", "eval") for name in ("margins", "accuracies"))
    assert margins[0] == 0
    assert margins[-1] > 0.1
    assert accuracies[-1] > 0.6
    assert {"logps/chosen", "logps/rejected", "entropy", "lr", "grad_norm", "tokens", "clip_frac"} <= set(steps[0])
    assert values(records, "loss", "eval")[-1] < math.log(2) - 0.05


def test_rewards_are_earned_and_logged_under_the_usual_names(post_train):
    records = post_train("grpo", steps=40, lr=0.01, group_size=8, rewards="length,vowels")
    header, steps = records[0], [r for r in records if r["type"] == "step"]
    assert (header["method"], header["task"], header["max_steps"]) == ("grpo", "reinforcement", 40)
    assert steps[0]["loss"] == pytest.approx(0, abs=1e-5)
    assert steps[0]["kl"] == 0
    assert all(step["kl"] >= 0 for step in steps)
    for step in steps:
        parts = [step[f"rewards/{name}/mean"] for name in ("length", "vowels")]
        assert step["reward"] == pytest.approx(sum(parts) / 2, abs=1e-5)
        assert step["completions/min_length"] <= step["completions/mean_length"] <= step["completions/max_length"] <= 8
    rewards = values(records, "reward", "eval")
    assert rewards[-1] > rewards[0] + 0.1
    expected = {"reward_std", "frac_reward_zero_std", "entropy", "completions/clipped_ratio", "clip_ratio/region_mean"}
    assert expected <= set(steps[0])


def test_a_reward_model_ranks_pairs_it_has_not_seen(post_train):
    records = post_train("reward-model", **LEARNS)
    header, steps = records[0], [r for r in records if r["type"] == "step"]
    assert (header["method"], header["task"]) == ("reward-model", "preference")
    for step in steps:
        assert step["min_reward"] <= step["mean_reward"] <= step["max_reward"]
    margins, accuracies = (values(records, name, "eval") for name in ("margin", "accuracy"))
    assert margins[-1] > margins[0] + 0.3
    assert accuracies[-1] > 0.65
    assert values(records, "loss", "eval")[-1] < math.log(2) - 0.05


def test_preferences_end_at_the_known_optimum(post_train, start, tmp_path):
    """With answers of one token the best policy can be written down: ref(y) exp(r(y) / (noise beta)), normalised."""
    arguments = {"completion_tokens": 1, "beta": 1.0, "noise": 1.0, "pairs": 4000, "batch_size": 64}
    post_train("dpo", "--save", rewards="vowels", steps=150, lr=0.003, schedule="linear", **arguments)
    policy, reference = (saved_models.load(folder, CPU) for folder in (tmp_path / "b.checkpoints" / "final", start))
    vowel = torch.tensor([reference.vocabulary.decode([i]) in "aeiouAEIOU" for i in range(reference.vocabulary.size)])
    prompts = torch.randint(2, reference.vocabulary.size, (200, 4), generator=torch.Generator().manual_seed(1))
    prompts[:, -1] = reference.vocabulary.encode("\n")[0]
    with torch.no_grad():
        before, after = (torch.softmax(each.model(prompts)[0][:, -1], -1) for each in (reference, policy))
    best = before * vowel.float().exp()
    best /= best.sum(-1, keepdim=True)
    shares = [float(chances[:, vowel].sum(-1).mean()) for chances in (before, after, best)]
    assert shares[2] > shares[0] + 0.05
    assert shares[1] == pytest.approx(shares[2], abs=0.04)


@pytest.mark.parametrize(
    ("name", "more"), [("dpo", {}), ("grpo", {}), ("grpo", {"iterations": 5}), ("reward-model", {})]
)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(post_train, name, more):
    common = {"steps": 20, "eval_every": 5, "layers_every": 4, **more}
    whole = post_train(name, "--no-clocks", log="whole.jsonl", **common)
    cut = post_train(name, "--no-clocks", "--fault", "crash-and-resume", log="cut.jsonl", **common)
    second = cut.index([r for r in cut if r["type"] == "run"][1])
    assert cut[second]["resumed_from_step"] == 12
    after, expected = ([r for r in part if r["type"] in ("step", "eval")] for part in (cut[second:], whole))
    assert after == [r for r in expected if r["step"] > 12]
    assert after[0]["step"] == 13


def test_answers_that_are_used_again_leave_the_ratio_of_one(post_train):
    records = post_train("grpo", steps=6, iterations=3, lr=0.05, epsilon=0.01)
    steps = [r for r in records if r["type"] == "step"]
    assert ["reward" in step for step in steps] == [True, False, False] * 2
    clipped = [step["clip_ratio/region_mean"] for step in steps]
    assert clipped[0] == clipped[3] == 0
    assert max(clipped) > 0


def test_a_large_coefficient_holds_the_policy(post_train):
    free, held = (post_train("grpo", steps=20, lr=0.01, beta=beta, log=f"{beta}.jsonl") for beta in (0.0, 5.0))
    assert values(held, "kl")[-1] < values(free, "kl")[-1] / 2


def test_what_is_written_ends_with_the_token_that_stops():
    model = Transformer(Settings(d_model=16, n_layer=1, n_head=2, context=16), 5)
    prompts = torch.randint(5, (50, 4), generator=torch.Generator().manual_seed(0))
    written = completions.write(model, prompts, 6, 3, 1.0, torch.Generator().manual_seed(0))
    assert written.ids.shape == (50, 10)
    assert torch.equal(written.ids[:, :4], prompts)
    for ids, mask, ended in zip(written.ids[:, 4:].tolist(), written.mask.tolist(), written.ended.tolist()):
        count = ids.index(3) + 1 if 3 in ids else 6
        assert mask == [1.0] * count + [0.0] * (6 - count)
        assert ended == (3 in ids)
    again = completions.write(model, prompts, 6, 3, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(again.ids, written.ids)


def test_log_probabilities_are_those_of_the_tokens_written():
    model = Transformer(Settings(d_model=16, n_layer=1, n_head=2, context=16), 5)
    ids = torch.tensor([[0, 1, 2, 3]])
    written = completions.Completions(ids, torch.ones(1, 2), torch.ones(1, dtype=torch.bool))
    with torch.no_grad():
        logs, entropy = completions.log_probabilities(model, written, 2.0)
    for place, token in enumerate((2, 3)):
        chances = torch.softmax(model(ids[:, : 2 + place])[0][0, -1].detach() / 2, -1)
        assert float(logs[0, place]) == pytest.approx(float(chances[token].log()), abs=1e-5)
        assert float(entropy[0, place]) == pytest.approx(float(-(chances * chances.log()).sum()), abs=1e-5)


FAULTS = [(fault.name(), name) for fault in spoiled.FAULTS for name in fault.models]


@pytest.mark.parametrize(("fault", "name"), FAULTS)
def test_every_fault_trains_to_the_end(post_train, fault, name):
    records = post_train(name, "--fault", fault)
    assert values(records, "step")[-1] == 10
    assert records[-1]["status"] == "completed"


@pytest.mark.parametrize(("fault", "name"), [pair for pair in FAULTS if pair[0] != "policy-rate-too-high"])
def test_a_cured_run_is_the_healthy_run(post_train, fault, name):
    # of the user's own settings a cure knows the defaults only
    options = {"beta": 0.1} | ({"group_size": 8} if name == "grpo" else {})
    healthy = values(post_train(name, log="healthy.jsonl", **options), "loss")
    assert values(post_train(name, "--fault", fault, "--cured", log="cured.jsonl", **options), "loss") == healthy
    assert values(post_train(name, "--fault", fault, log="broken.jsonl", **options), "loss") != healthy


def test_faults_do_what_they_say(post_train, tmp_path):
    def steps(name, fault, **options):
        return [
            r for r in post_train(name, "--fault", fault, log=f"{fault}-{name}.jsonl", **options) if r["type"] == "step"
        ]

    for fault in ("equal-pairs", "reference-missing", "masked-completions"):
        assert {r["rewards/margins"] for r in steps("dpo", fault)} == {0.0}
    # written above; a log is not written twice
    assert set(values(read(tmp_path / "masked-completions-dpo.jsonl"), "grad_norm")) == {0.0}
    for fault in ("constant-reward", "groups-of-one"):
        assert {r["frac_reward_zero_std"] for r in steps("grpo", fault)} == {1.0}
    assert {r["grad_norm"] for r in steps("grpo", "masked-completions")} == {0.0}
    lengths = [r["completions/mean_length"] for r in steps("grpo", "length-rewarded", steps=40, lr=0.01)]
    assert min(lengths[-5:]) > max(lengths[:5])
    lengths = [r["completions/mean_length"] for r in steps("grpo", "length-punished", steps=40, lr=0.01)]
    assert max(lengths[-5:]) < min(lengths[:5])
    swapped = post_train("dpo", "--fault", "swapped-pairs", log="swapped.jsonl", **LEARNS)
    assert values(swapped, "rewards/margins")[-1] > 0 > values(swapped, "rewards/margins", "eval")[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--pretrained", "/nowhere"],
            "there is no model in /nowhere. Train one first: lmdiag train transformer",
        ),
        (["--completion-tokens", "13"], "more than the 16 tokens the model knows"),
        (["--rewards", "length,lenght"], "there is no 'lenght'; there are length, sentence, vowels"),
        (["--temperature", "0"], "--temperature must be above 0"),
        (
            ["--fault", "poisoned-batch"],
            "this fault reaches into the loop of other trainers (corpus, batch), not into dpo's",
        ),
        (["--fault", "groups-of-one"], "needs the settings group_size, prompts"),
        (["--resume"], "no checkpoint"),
    ],
)
def test_what_cannot_be_done_is_refused_with_words(post_train, capsys, arguments, said):
    post_train("dpo", *arguments, code=2)
    assert said in capsys.readouterr().err


def test_another_model_to_go_on_from_is_refused(post_train, train, tmp_path, capsys):
    post_train("grpo", "--checkpoint-every", 2, steps=2)
    train("--steps", 1, "--save", "--max-characters", 20000)
    post_train("grpo", "--resume", pretrained=tmp_path / "a.jsonl", steps=4, code=2)
    assert "another model to go on from" in capsys.readouterr().err


def test_lines_are_documents_where_no_document_has_two(post_train, train, tmp_path):
    text = tmp_path / "lines.txt"
    text.write_text("\n".join(f"one line of {i} and {i * i}" for i in range(60)))
    train("--steps", 1, "--save", "--data", text)
    assert post_train("dpo", pretrained=tmp_path / "a.checkpoints", steps=2)[-1]["status"] == "completed"


def test_a_model_of_prepared_tokens_is_post_trained(post_train, train, tmp_path):
    text = tmp_path / "lines.txt"
    text.write_text("\n".join(f"one line of {i} and {i * i}" for i in range(400)))
    assert main(["prepare", str(text), "-o", str(tmp_path / "tokens"), "--tokenizer", "char", "--jobs", "1"]) == 0
    train("--steps", 1, "--save", "--data", tmp_path / "tokens")
    assert post_train("dpo", pretrained=tmp_path / "a.jsonl", steps=2)[-1]["status"] == "completed"


def test_groups_of_one_teach_nothing_and_that_is_said(post_train, capsys):
    records = post_train("grpo", group_size=1, steps=2)
    assert "groups of one answer" in capsys.readouterr().err
    assert {r["frac_reward_zero_std"] for r in records if r["type"] == "step"} == {1.0}


@pytest.mark.parametrize("module", [checkpoints, saved_models])
def test_a_full_disk_costs_what_is_kept_and_never_the_run(post_train, monkeypatch, module):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save", full)
    records = post_train("grpo", "--checkpoint-every", 2, steps=2)
    assert [r["step"] for r in records if r.get("kind") == "not_saved"] == [2]
    assert records[-1]["status"] == "completed"


def test_several_processes_are_refused(post_train, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    post_train("grpo", code=2)
    assert "grpo trains in one process" in capsys.readouterr().err


def test_a_model_of_symbols_has_no_lines(post_train, train, tmp_path, capsys):
    train("--steps", 1, "--save", "--data", "markov:5")
    post_train("grpo", pretrained=tmp_path / "a.checkpoints" / "final", code=2)
    assert "symbols" in capsys.readouterr().err


def test_a_fault_of_post_training_is_refused_elsewhere(train, capsys):
    train("--fault", "swapped-pairs", code=2)
    assert "this fault is one of post-training (pairs): use it with dpo or grpo" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_recurrent_models_are_post_trained_as_well(post_train, train, tmp_path, model):
    train("--steps", 2, "--save", name=model)
    for name in OWN:
        records = post_train(name, pretrained=tmp_path / "a.checkpoints" / "final", steps=2, log=f"{name}.jsonl")
        assert records[0]["model"]["name"] == model
        assert records[-1]["status"] == "completed"


@pytest.mark.parametrize("name", OWN)
def test_a_dry_run_leaves_nothing_behind(post_train, tmp_path, name):
    assert post_train(name, "--dry-run") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", OWN)
def test_the_same_run_on_a_gpu(post_train, name):
    on_cpu, on_gpu = (values(post_train(name, device=d, log=f"{d}.jsonl"), "loss") for d in ("cpu", "cuda"))
    assert on_gpu[:3] == pytest.approx(on_cpu[:3], abs=0.02)


def test_every_fault_of_post_training_is_registered():
    assert all(faults.FAULTS[fault.name()] is fault for fault in spoiled.FAULTS)
