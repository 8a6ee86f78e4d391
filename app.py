"""The app: `streamlit run app.py`, or `streamlit run app.py -- runs/*.jsonl` to open logs at once."""

import sys

from lmdiag.app.main import main

main(sys.argv[1:])
