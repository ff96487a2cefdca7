# One image for every role: the command decides (see docker-compose.yml).
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY assay assay
COPY spaces spaces
COPY search search
COPY workers workers
COPY service service
COPY migrations migrations
# Two users: what carries runs out may run what people sent, so it is not who knows the passwords. What they both write
# is in /data, which belongs to the group of both.
RUN pip install --no-cache-dir --constraint constraints.txt ".[server]" \
    && useradd --create-home --uid 1000 assay \
    && useradd --create-home --uid 1001 --gid assay worker \
    && install --directory --owner assay --group assay --mode 2770 /data
USER assay
VOLUME /data
ENV ASSAY_DATA_DIR=/data PYTHONUNBUFFERED=1
EXPOSE 8080
# Files for each other: the group may write what either of the two makes.
ENTRYPOINT ["sh", "-c", "umask 007 && exec \"$0\" \"$@\""]
CMD ["assay", "up", "--host", "0.0.0.0"]
