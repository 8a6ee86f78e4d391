# The command line and nothing else: no torch, no Streamlit.
#   docker build -t lmdiag .
#   docker run --rm -v "$PWD:/logs:ro" lmdiag check runs/
FROM python:3.12-slim AS build
COPY . /source
# Both names: which of them also holds for what builds the package depends on the version of pip.
ENV PIP_CONSTRAINT=/source/constraints.txt PIP_BUILD_CONSTRAINT=/source/constraints.txt
RUN python -m venv /opt/lmdiag && /opt/lmdiag/bin/pip install --no-cache-dir /source

FROM python:3.12-slim
COPY --from=build /opt/lmdiag /opt/lmdiag
RUN useradd --create-home --uid 1000 lmdiag
USER 1000
WORKDIR /logs
ENTRYPOINT ["/opt/lmdiag/bin/lmdiag"]
CMD ["--help"]
