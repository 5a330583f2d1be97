"""Prove that claudy works here, or say what is wrong and mend it.

    model      a check, its outcome, the report: data
    context    what all checks look at, found out once: endpoint, engine, plan
    runner     order, side by side, time-outs, crashes
    inside     the throw-away container and the script in it
    checks/    one file per check, one function each
    fixes/     what can be mended from here, each shown and confirmed before it runs

Nothing here prints; `claudy.cli.doctor` does. What is wrong and how it is mended is written in
`claudy.host.diagnose` and its neighbours, which launch errors read too.
"""
