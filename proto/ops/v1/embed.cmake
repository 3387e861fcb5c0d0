# A file's bytes as a C array.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "#include \"proto/ops/v1/protoset.h\"\n
static const unsigned char bytes[] = {\n${bytes}\n};\n
ops_slice ops_v1_protoset(void)\n{\n    return ops_slice_of(bytes, sizeof bytes);\n}\n")
