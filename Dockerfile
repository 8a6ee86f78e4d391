# The command line and nothing else: no torch, no Streamlit.
#   docker build -t lmdiag .
#   docker run --rm -v "$PWD:/logs:ro" lmdiag check runs/
FROM python:3.12-slim AS build
COPY . /source
RUN python -m venv /opt/lmdiag && /opt/lmdiag/bin/pip install --no-cache-dir --constraint /source/constraints.txt /source

FROM python:3.12-slim
COPY --from=build /opt/lmdiag /opt/lmdiag
RUN useradd --create-home --uid 1000 lmdiag
USER 1000
WORKDIR /logs
ENTRYPOINT ["/opt/lmdiag/bin/lmdiag"]
CMD ["--help"]
