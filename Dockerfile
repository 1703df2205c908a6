# One image for every process of ours: `docker run marketplace run api`. Which ones there are: docs/reference/services.md.
#
#   docker build --tag marketplace:0.1.0 .
#   docker build --tag marketplace:0.1.0-stack --build-arg LOCK=stack .    # with the embedded parts that need no Java
#
# tests/integration/test_image_steps.py does these steps without an engine, in a root of its own (`make image-check`).
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS build
ARG LOCK=image
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1 \
    PIP_ONLY_BINARY=:all:
WORKDIR /src
COPY requirements-build.lock requirements-image.lock requirements-stack.lock ./
RUN python -m venv --without-pip /opt/marketplace \
    && pip --python /opt/marketplace/bin/python install --require-hashes --no-deps --requirement "requirements-${LOCK}.lock" \
    && pip install --require-hashes --no-deps --requirement requirements-build.lock
COPY . .
# What builds the package stays in this stage, and out of what is copied from it.
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && pip --python /opt/marketplace/bin/python install --no-deps --no-index /wheels/*.whl \
    && python -m compileall -q -j 0 /opt/marketplace/lib

FROM python:${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="marketplace" \
      org.opencontainers.image.description="A multi-tenant marketplace with click analytics: every process of it" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# The number is what a volume's owner and a policy of Kubernetes can name.
RUN groupadd --gid 10001 marketplace \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin marketplace \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=build /opt/marketplace /opt/marketplace
# Only /tmp and /data are written to, so that the root file system can be mounted read-only.
ENV PATH=/opt/marketplace/bin:${PATH} \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    MARKETPLACE_DATA=/data \
    MARKETPLACE_LOG_FORMAT=json
USER 10001:10001
WORKDIR /data
ENTRYPOINT ["marketplace"]
CMD ["run"]
# The service is an argument of `run`, or MARKETPLACE_SERVICE, which both know.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 CMD ["marketplace", "health"]
