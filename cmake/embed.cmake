# cmake -DINPUT=file -DOUTPUT=file.c -DNAME=symbol -DHEADER=its.h -P embed.cmake
# Writes the file's bytes as a C array that ends with a zero byte, which NAME_bytes does not count.
file(READ ${INPUT} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR bytes "${digits} / 2")
# Character constants, not numbers: a byte over 127 would not fit a char without a cast. Sixteen in a row.
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1', " body "${hex}")
string(REPEAT "'.x..', " 16 row)
string(REGEX REPLACE "(${row})" "\\1\n    " body "${body}")
get_filename_component(name ${INPUT} NAME)
file(WRITE ${OUTPUT} "/* Made by the build from ${name}. */
#include \"${HEADER}\"

const char ${NAME}[] = {
    ${body}'\\0'};
const size_t ${NAME}_bytes = ${bytes};
")
