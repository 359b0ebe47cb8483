# SPDX-License-Identifier: Apache-2.0
"""The AWS CLI, many commands in one process: its start costs more than a second each time.

Reads a JSON list of arguments per line; answers {"returncode", "stdout", "stderr"} per line.  The
code that runs is Debian's /usr/bin/aws, entered where that enters it.
"""

import contextlib
import io
import json
import sys

import awscli.clidriver

for line in sys.stdin:
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = awscli.clidriver.create_clidriver().main(json.loads(line))
        except SystemExit as end:
            code = end.code
    print(json.dumps({"returncode": code, "stdout": out.getvalue(), "stderr": error.getvalue()}),
          flush=True)
