"""What `lmdiag app` lets Streamlit run, as `streamlit run app.py` does in a checkout."""

if __name__ == "__main__":  # processes that read logs for the app import this file
    import sys

    from lmdiag.app.main import main

    main(sys.argv[1:])
