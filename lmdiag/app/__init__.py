"""The Streamlit app: widgets and layout only. What is drawn comes from `charts`, what is said from `diagnose`.

Text from a log never reaches the page as Markdown or HTML: it goes through `words.plain` or `words.html`.
"""
