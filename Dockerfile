# The marketplace, with `holdfast` for its migrations, in one small image:
#
#   docker build --tag marketplace .
#   docker run --rm --read-only --cap-drop ALL marketplace holdfast --version
#
# It runs as a user without a name or a home, on a file system that it does not write to. Changes are tried before they are
# merged, where the code is: the image only applies them.

FROM python:3.13-slim AS build
WORKDIR /source
COPY requirements.lock ./
COPY packages packages
# The versions of requirements.lock; its hashes are for an environment that holds all of it.
RUN python -m venv /app \
    && sed -e 's/ \\$//' -e '/^ *--hash/d' requirements.lock >versions.txt \
    && /app/bin/pip install --no-cache-dir --disable-pip-version-check --constraint versions.txt \
        packages/holdfast packages/marketplace \
    && /app/bin/python -m compileall -q /app

FROM python:3.13-slim
COPY --from=build /app /app
# [tool.holdfast] in it names the migrations, for `holdfast run`.
COPY pyproject.toml /srv/
WORKDIR /srv
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MARKETPLACE_HOST=0.0.0.0
USER 65532:65532
EXPOSE 8000
# With limits for clients that send or read too slowly, which uvicorn alone has not.
CMD ["marketplace", "serve"]
