# The node and its development chain, for x86-64. `scripts/image_check.sh` executes these steps
# without Docker. Pin the base by digest where you build: BASE=debian:bookworm-slim@sha256:...
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
# PyTorch for processors alone: what PyPI gives brings 3 GB of libraries for graphics cards.
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates gcc libc6-dev libgmp-dev python3-dev python3-venv
RUN python3 -m venv /opt/flocknode
WORKDIR /source
COPY configs/constraints.txt configs/constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY flocknode flocknode
RUN /opt/flocknode/bin/pip install --no-cache-dir --disable-pip-version-check \
    --constraint configs/constraints.txt '.[devchain]'

FROM ${BASE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgmp10 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /data flocknode
COPY --from=build /opt/flocknode /opt/flocknode
ENV PATH=/opt/flocknode/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
# Keys are made in /data when a node is set up, and never in a layer.
USER flocknode
WORKDIR /data
# The program starts and finds its parts. Whether a node does its duties, its own commands tell.
HEALTHCHECK --interval=60s --timeout=10s --start-period=10s CMD ["flocknode", "version"]
ENTRYPOINT ["flocknode"]
CMD ["--help"]
