# The command line `learner`, installed from the lock, run by a plain user.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
RUN python -m venv /venv
WORKDIR /src
COPY requirements/stores.lock requirements/
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --requirement requirements/stores.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY streams streams
COPY agents agents
COPY sinks sinks
COPY config config
COPY converters converters
COPY simulation simulation
COPY demo demo
COPY queries queries
COPY audit audit
COPY doctor doctor
COPY client client
COPY api api
COPY chat chat
COPY cli cli
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check \
    --no-deps --no-build-isolation .

FROM python:${PYTHON}-slim
# A volume that is mounted on /data takes its owner: DuckDB's file stands there.
RUN useradd --uid 10001 --create-home learner && install -d -o 10001 -g 10001 /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /home/learner
# SIGTERM ends a worker in good order: it finishes its batch and leaves the group.
STOPSIGNAL SIGTERM
ENTRYPOINT ["learner"]
CMD ["--help"]
