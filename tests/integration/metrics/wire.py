"""Remote write requests written by hand, field by field, and a snappy block of literals."""
import struct
import urllib.error
import urllib.request

V1 = "application/x-protobuf;proto=prometheus.WriteRequest"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def zigzag(n):
    return varint(n << 1 if n >= 0 else (-n << 1) - 1)


def field(num, value):
    if isinstance(value, float):
        return varint(num << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(num << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(num << 3 | 2) + varint(len(data)) + data


def sample(value, ms):
    # A double by its bits, for the staleness marker is a NaN of one pattern.
    return field(2, varint(1 << 3 | 1) + struct.pack("<d", value) + field(2, ms))


def series(labels, samples, more=b""):
    return field(1, b"".join(field(1, field(1, k) + field(2, v)) for k, v in labels.items()) + b"".join(sample(*s) for s in samples) + more)


def series2(symbols, labels, samples, kind=0, more=b""):
    """One series of version 2; its texts are added to `symbols`."""
    refs = b""
    for pair in labels.items():
        for text in pair:
            if text not in symbols:
                symbols.append(text)
            refs += varint(symbols.index(text))
    return field(5, field(1, refs) + b"".join(sample(*s) for s in samples) + more + field(5, field(1, kind)))


def request2(symbols, *rows):
    return b"".join(field(4, s) for s in symbols) + b"".join(rows)


def snappy(data):
    out = varint(len(data))
    for at in range(0, len(data), 60):
        part = data[at:at + 60]
        out += bytes([len(part) - 1 << 2]) + part
    return out


def write(opsd, body, kind=V1, port="otlp_http", token=None, packed=True):
    headers = {"Content-Type": kind, "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"http://{opsd.at(port)}/api/v1/write", snappy(body) if packed else body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read().decode()
