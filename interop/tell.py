"""How a peer tells `cargo xtask interop` of its cases: a line for each, and one at the end."""

import sys
import traceback

_results = []


def case(name, check, *args):
    """Runs one case. Whatever it raises is its failure. What it gives is a remark."""
    try:
        remark = check(*args)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = str(error) or type(error).__name__
        print(f"FAILED {name}: {what} ({where.name}, line {where.lineno})", flush=True)
        _results.append(False)
    else:
        print(f"ok {name}" + (f": {remark}" if remark else ""), flush=True)
        _results.append(True)


def end():
    """Ends the program. The last line shows that it has come to its end."""
    print(f"done {len(_results)}", flush=True)
    sys.exit(0 if _results and all(_results) else 1)
