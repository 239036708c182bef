# The context is a folder linux/ARCH with the unpacked archive of each architecture: see
# .github/workflows/release.yml. The base has CA certificates and no shell.
FROM gcr.io/distroless/static-debian12:nonroot
ARG TARGETARCH
COPY linux/${TARGETARCH}/LICENSE /
COPY linux/${TARGETARCH}/palette-* /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/palette-keys"]
