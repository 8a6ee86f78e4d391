"""What launchers and loggers put before a line: ranks, hosts, times, levels and the names of modules."""

from __future__ import annotations

from lmdiag.patterns import lazy

RANKS_OF_A_HOST = 1 << 16  # the ranks of a host that has a number or an address begin at so many times it
_LEVEL = r"(?:DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL|debug|info|warning|error)"
_PLACE = r"(?:train(?!er)|val|eval|test|dev|epoch|step|iter|loss|batch)"
_MACHINE = r"(?:worker|node|host|gpu|algo|trainer|machine|server|master|compute|instance|vm|tpu|ip)"
# What launchers and loggers put before a line, by the characters that it begins with, so that a line without any is told
# at once. A group called `rank…` numbers a process, and one called `host…` names a machine.
_PREFIXES: dict[str, tuple[str, ...]] = {
    r"\[": (
        r"\[(?:rank|Rank|RANK|default)[ =:]*(?P<rank>\d+)\]:?",
        r"\[\d+,(?:mpirank:)?(?P<rank_mpi>\d+)(?:,algo-\d+)?\]<std(?:out|err)>:",  # Open MPI, SageMaker
        r"\[pod/[\w.-]*?(?:-(?P<host_pod>\d+))?/[\w.-]+\]",  # kubectl logs --prefix
        rf"\[ *{_LEVEL} *(?:\|[^\]]*)?\]",
        r"\[ (?:Debug|Info|Warning|Error):(?=\s)",  # Julia
        r"\[[\w.-]+:(?P<rank_espnet>\d+)/\d+\](?=\s)",
        r"\[[\w./-]+:\d+(?::\w+)?\]",
        r"\[[\w.-]+/\w*(?:Process|Thread)[\w-]*\](?:\s+[A-Za-z_][\w.]*\s:)?",  # the process, and its module and function
        r"\[(?!(?i:val|valid|validation|eval|evaluation|dev|test)\]\s*\[[A-Za-z])[A-Za-z][\w.-]*\](?=\s*(?:\[|\d{4}-|-\s|INFO))|\[titan\]|\[NeMo \w(?: [\d-]+ [\d:.,]+ [\w.]+:\d+\])?",
    ),
    r"[\[\d]": (
        r"(?P<rank_srun>\d{1,5}):(?=\s)(?! {3}\w+\.\w+: )",  # only at the start of a line; labml puts a step there
        r"(?P<host_ip>\d{1,3}(?:\.\d{1,3}){3}):(?=\s)",  # pdsh
        r"\[?\d{4}[-/]\d\d[-/]\d\d[T _]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?(?: std(?:out|err) [FP](?=\s))?",
        r"\[?\d\d[/-]\d\d(?:[/-]\d{2,4})?[ ,]+\d\d:\d\d:\d\d(?:[.,]\d+)?(?: [AP]M)?",
        r"\[?\d{1,2}:\d\d:\d\d(?:[.,]\d+)?(?: [AP]M)?\]?",
        r"\d\d:\d\d(?= [A-Z\[])",
    ),
    r"\(": (
        r"\(\w*Worker\w* pid=(?P<rank_ray>\d+)[^)]*\)",
        r"\(\w+ pid=\d+[^)]*\)",
        r"\(\w+:\d+\)",
        r"\((?P<rank_k2>\d+)/\d+\)(?= Epoch \d)",
    ),
    r"[A-Za-z_<]": (
        r"[Rr]ank (?P<rank_said>\d+)(?=\s*[:|])|rank-?(?P<rank_only>\d+)(?:\[[^\]]*\])*:",
        rf"(?P<host_pdsh>{_MACHINE}(?=[a-z._-]*\d)[\w.-]*+):(?=\s)",
        rf"(?=[\w.-]++(?:(?<=\d)  +\||(?<=\w) std(?:out|err) \|))(?!(?i:{_PLACE})[-_.\d])(?P<host_compose>[\w.-]+) [^|]*\|(?=\s)",
        r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?P<host_journal>[\w.-]+) [\w./@-]+(?:\[\d+\])?:(?=\s)",
        r"(?:srun|slurmstepd|mpirun|torchrun):(?=\s)",
        r"[IWEF](?:\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+)? [\w./-]+:\d+\]",
        rf"{_LEVEL}(?::(?!(?i:{_PLACE}))[A-Za-z_](?:[\w.]*:|[\w.-]*:(?=[^\s\d.-]))|(?::[\w.]+)?(?=[\s:\]|-]))",
        r"[\w.<>-]+:[\w.<>-]+:\d+(?=\s)|[A-Za-z_][\w.-]*\.py:\d+:?|[A-Za-z_][\w.-]*\[[\w./-]+\.py:\d+\]",
        rf"(?!(?i:{_PLACE}))[A-Za-z_][\w.]*(?= (?:-|») )",
    ),
    r"┌": (r"┌ (?:Debug|Info|Warning|Error):(?=\s)",),  # Julia, a message of several lines
    r"[-|»>:,\]]": (r"[-|»>:,\]]+(?=\s)",),
}
_PREFIX = lazy(r"\s*(?:" + "|".join(f"(?={start})(?:{'|'.join(rows)})" for start, rows in _PREFIXES.items()) + ")")
_DIGITS = lazy(r"\d+")


def payload(piece: str) -> tuple[str, int | None]:
    """Take launcher and logger prefixes off a piece; return what is left and the rank they named.

    >>> payload("[rank3]:[titan] 2026-02-03 10:11:12,131 - root - INFO - step: 10  loss: 7.0")
    ('step: 10  loss: 7.0', 3)
    """
    at = 0
    rank: int | None = None
    host: int | None = None
    while match := _PREFIX.match(piece, at):
        if named := match.lastgroup:
            if named.startswith("host"):
                digits = _DIGITS.findall(match[named])
                host = int("".join(word.zfill(3) for word in digits)) if host is None and digits else host
            elif rank is None and (at == 0 or named != "rank_srun"):
                rank = int(match[named])
        at = match.end()
    return piece[at:].strip(), rank if host is None else host * RANKS_OF_A_HOST + (rank or 0)
