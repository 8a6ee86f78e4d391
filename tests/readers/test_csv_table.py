"""CSV and TSV: wide and long, sparse, damaged, with other separators."""

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers.csv import table as csv_table
from lmdiag.sources.source import Source

NAN = float("nan")


def read(text, name="a.csv"):
    source = Source(name, content=text.encode())
    assert csv_table.can_read(source.name, source.head)
    (run,) = runs_of(source)
    return run


def points(run, metric="loss"):
    return list(zip(run[metric].steps.tolist(), run[metric].values.tolist(), strict=True))


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_separator_and_line_end(separator, end):
    text = end.join(separator.join(row) for row in [("step", "loss", "note"), ("1", "3.5", "a"), ("2", "2.5", "b")])
    assert points(read(text + end)) == [(1, 3.5), (2, 2.5)]


def test_empty_is_missing_and_nan_was_logged():
    run = read('step,train_loss,val_loss\n1,3.5,\n2,nan,2.5\n3,"1,234.5",NA\n')
    assert points(run) == [(1, 3.5), (2, pytest.approx(NAN, nan_ok=True)), (3, 1234.5)]
    assert (points(run, "val/loss"), run.skipped) == ([(2, 2.5)], ())


def test_damaged_rows_are_counted_with_their_line():
    run = read("step,loss\n1,3.5\n2\n3,1.5,9\n4,soon\n5,0.5\n")
    assert points(run) == [(1, 3.5), (5, 0.5)]
    assert [(s.line, s.reason) for s in run.skipped] == [
        (3, "1 fields where the header has 2"),
        (4, "3 fields where the header has 2"),
        (5, "not a number in \"loss\": 'soon'"),
    ]


def test_a_header_written_again_by_a_resume():
    run = read("step,loss\n1,3.5\n2,2.5\nstep,loss\n3,1.5\n")
    assert (len(run["loss"]), run.skipped) == (3, ())


def test_lines_count_from_the_top_of_the_file():
    assert read("# made by hand\nstep,loss\n1,3.5\n2,2.5\n")["loss"].lines.tolist() == [3, 4]


def test_fields_with_line_ends_in_quotes():
    assert points(read('step,text,loss\n1,"a\nb",3.5\n2,c,2.5\n')) == [(1, 3.5), (2, 2.5)]


def test_one_row_for_each_value():
    run = read("step,metric,value\n1,loss,3.5\n1,val_loss,4.5\n2,loss,2.5\n")
    assert (points(run), points(run, "val/loss")) == ([(1, 3.5), (2, 2.5)], [(1, 4.5)])


def test_tokens_as_the_axis():
    run = read("throughput/total_tokens,eval/c4/CrossEntropyLoss\n100,9.5\n200,8.5\n")
    assert (run.step_kind, points(run, "c4/loss")) == ("tokens", [(100, 9.5), (200, 8.5)])


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n", "Hello, world\nhow, are you\n", '{"step": 1, "loss": 2}\n', "step 1, loss 2\nstep 2, loss 1\n"],
)
def test_other_text_is_not_taken_for_a_table(text):
    assert not csv_table.can_read("a.txt", text.encode())


def test_the_table_of_a_workspace_is_no_log_however_often_a_name_comes():
    """W&B exports its list of runs with their settings and last values; four seeds of one setting have one name."""
    head = ["Name", "State", "Created", "Runtime", "iter", "train/loss"]
    rows = [[f"wide-{k // 4}", "finished", f"2026-01-0{k + 1}", "732", "5000", f"1.{k}"] for k in range(8)]
    with pytest.raises(UnreadableLog, match=r"one row per run \(rows: 8\)"):
        read("".join(",".join(row) + "\n" for row in [head, *rows]))
    source = Source("a.csv", content="".join(",".join(row[3:]) + "\n" for row in [head, *rows]).encode())
    assert runs_of(source)


@pytest.mark.parametrize(
    "rows",
    [
        ["commit,val_loss,status", *(f"c{i:06x},2.{i},keep" for i in range(9))],
        ["run_name,step,loss", *(f"r{i},1000,2.{i}" for i in range(9))],
    ],
)
def test_a_table_of_experiments_is_refused(rows):
    with pytest.raises(UnreadableLog, match="one row per experiment"):
        read("\n".join(rows) + "\n")


@pytest.mark.parametrize("head", ["question,accuracy,loss", "example_index,accuracy,loss"])
@pytest.mark.parametrize("stepped", [False, True])
def test_a_table_of_samples_is_a_log_only_with_steps(head, stepped):
    first = "Is 1{} prime?" if head.startswith("question") else "{}"
    rows = "".join(f"{first.format(k)},{k % 2},{2 - k / 10}{f',{10 * k}' if stepped else ''}\n" for k in range(9))
    table = f"{head}{',step' if stepped else ''}\n{rows}"
    if stepped:
        assert len(read(table)["loss"]) == 9
    else:
        with pytest.raises(UnreadableLog, match="one row per sample"):
            read(table)


def test_single_points_of_many_curves_are_refused():
    rows = [
        "Step,a - loss,b - loss,c - loss,d - loss,e - loss",
        "1,2.0,,,,",
        "2,,2.0,,,",
        "3,,,2.0,,",
        "4,,,,2.0,",
        "5,,,,,2.0",
    ]
    with pytest.raises(UnreadableLog, match="single points of 5 curves"):
        read("\n".join(rows) + "\n")


def test_a_header_alone_is_refused():
    source = Source("a.csv", content=b"step,loss\n")
    with pytest.raises(UnreadableLog, match="no rows"):
        csv_table.read(source)


def test_zeros_in_between_are_no_evaluations():
    rows = "".join(f"{s},2.5,{3.5 if s % 4 == 0 else 0}\n" for s in range(8))
    run = read("step,loss,val_loss\n" + rows)
    assert points(run, "val/loss") == [(0, 3.5), (4, 3.5)]
    assert any("6 zeros" in note for note in run.notes)


@pytest.mark.parametrize("values", [(2.5, 1.5, 0, 0), (0.02, 0.001, 0, 0.0001), (0, 0, 0, 0)])
def test_zeros_that_an_evaluation_may_give_stay(values):
    run = read("step,loss,val_loss\n" + "".join(f"{s},2.5,{value}\n" for s, value in enumerate(values)))
    assert [value for _, value in points(run, "val/loss")] == list(values)


def test_the_first_row_of_a_table_of_results_is_no_run():
    with pytest.raises(UnreadableLog, match="one row per experiment"):
        read("Model Name,max_steps,training loss,validation loss\nsmall-v2,80,0.25,1.75\n")


def test_a_run_with_one_row_so_far_is_read():
    assert points(read("step,name,loss\n10,small-v2,2.5\n")) == [(10, 2.5)]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas(separator):
    rows = [("epoch", "loss", "val_loss"), ("1", "4,512", "4,75"), ("2", "4,125", "4,5"), ("3", "3,875", "4,25")]
    run = read("\n".join(separator.join(row) for row in rows) + "\n")
    assert points(run) == [(1, 4.512), (2, 4.125), (3, 3.875)]
    assert any("comma" in note for note in run.notes)


def test_thousands_beside_decimal_points_stay_thousands():
    run = read("step;loss;tokens\n1;4.5;1,024\n2;4.25;2,048\n")
    assert points(run, "tokens") == [(1, 1024), (2, 2048)]


@pytest.mark.parametrize(
    ("cells", "values", "said"),
    [
        (["4,941", "4,127", "3,905"], [4.941, 4.127, 3.905], "decimals with a comma, all to three digits"),
        (["4,94", "4,127", "3,9"], [4.94, 4.127, 3.9], "decimals with a comma: 2,5"),
        (["4,9412", "4,1270", "0,9051"], [4.9412, 4.127, 0.9051], "decimals with a comma: 2,5"),
        (["4,941", "900", "1,200"], [4941, 900, 1200], "thousands with a comma"),
    ],
)
@pytest.mark.parametrize("form", ["quoted", "semicolons beside a date", "json"])
def test_commas_in_numbers_are_decided_by_column_and_said(cells, values, said, form):
    from lmdiag.judging.reading import runs_of

    if form == "json":
        text = "".join(f'{{"step": {n}, "loss": "{cell}"}}\n' for n, cell in enumerate(cells, 1))
    elif form == "quoted":
        text = "step,loss\n" + "".join(f'{n},"{cell}"\n' for n, cell in enumerate(cells, 1))
    else:
        text = "step;date;loss\n" + "".join(f"{n};01.02.2024;{cell}\n" for n, cell in enumerate(cells, 1))
    (run,) = runs_of(Source("a.jsonl" if form == "json" else "a.csv", content=text.encode()))
    assert run["loss"].values.tolist() == pytest.approx(values)
    assert [said in note for note in run.account.guesses if "comma" in note] == [True]


def test_timesteps_of_an_environment_count_the_steps() -> None:
    rows = "".join(f"{k},800,{20 + k},{64 * k},0.0002,{55 - k},{111 - k}\n" for k in range(1, 9))
    head = "time/iterations,time/fps,rollout/ep_rew_mean,time/total_timesteps,train/approx_kl,train/loss,train/value_loss\n"
    (run,) = runs_of(Source("progress.csv", content=(head + rows).encode()))
    assert run["loss"].steps.tolist() == [64 * k for k in range(1, 9)]
    assert (run.step_kind, run.objective) == ("step", "reinforcement")


@pytest.mark.parametrize(("name", "metric"), [("train_loss.csv", "loss"), ("run-a-tag-val_loss.csv", "val/loss")])
def test_the_name_of_a_file_from_tensorboard_says_what_its_values_are(name, metric):
    run = read("Wall time,Step,Value\n1650000000.5,10,2.5\n1650000010.5,20,2.25\n", name)
    assert points(run, metric) == [(10, 2.5), (20, 2.25)]


def test_a_column_alone_is_a_table_where_it_is_named_a_loss():
    run = read("train_loss\n4.25\n4.0\n3.5\n", "losses.csv")
    assert (run.step_kind, points(run)) == ("record", [(1, 4.25), (2, 4.0), (3, 3.5)])


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b"price\n4.25\n4.0\n"), ("a.txt", b"loss\n4.25\n4.0\n"), ("a.csv", b"loss\nof the firm\nof games\n")],
)
def test_other_columns_alone_are_none(name, content):
    assert not csv_table.can_read(name, content)


def test_a_head_in_a_comment():
    assert points(read("# a run\n#step,loss\n1,3.5\n2,2.5\n")) == [(1, 3.5), (2, 2.5)]
    with pytest.raises(UnreadableLog, match="the columns Step, Value, Model") as error:
        list(runs_of(Source("a.csv", content=b"#Model,Step,Value\ngpt,1,3.5\ngpt,2,2.5\ngpt,3,2.25\n")))
    assert "--map loss=Value" in str(error.value)


@pytest.mark.parametrize(
    "head",
    [
        "Schritt,Verlust,Verlust (Validierung)",
        "ステップ,損失,検証損失",
        "passo,perdita,perdita di validazione",
        "шаг,потери,потери_вал",
    ],
)
def test_a_head_in_another_language(head):
    run = read(f"{head}\n1,3.5,3.75\n2,2.5,2.75\n3,2,2.25\n")
    assert (points(run)[0], points(run, "val/loss")[-1]) == ((1, 3.5), (3, 2.25))


def test_a_table_with_columns_named_after_the_sets_alone():
    text = "step,train,val_wiki,val_code\n" + "".join(f"{k},{6 - k / 10:.2f},{k / 8},{k / 16}\n" for k in range(1, 20))
    source = Source("a.csv", content=text.encode())
    assert csv_table.can_read(source.name, source.head)
    (run,) = runs_of(source)
    assert run["loss"].values[0] == 5.9
    assert run["val/wiki"].values[-1] == 19 / 8
    assert not csv_table.can_read("a.csv", text.replace("step", "day").encode())
