"""The app: `streamlit run app.py`, or `streamlit run app.py -- runs/*.jsonl` to open logs at once."""

if __name__ == "__main__":  # processes that read logs for the app import this file
    import sys

    from lmdiag.app.main import main

    main(sys.argv[1:])
