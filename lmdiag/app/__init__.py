"""The Streamlit app: widgets and layout only. Charts come from `charts`, verdicts from `judging`.

Text from a log never reaches the page as Markdown or HTML: it goes through `markup.plain` or `markup.html`.
"""
