# The JSON of bench/run in, an SVG out: a line a row, a dot for each allocator, placed by its time over Fettle's (logarithmic;
# left of the line at 1 it is faster than Fettle). With -v what=memory: resident memory over live bytes, likewise.

function figure(text, key,    at) {
    at = index(text, "\"" key "\": ")
    return at == 0 ? -1 : substr(text, at + length(key) + 4) + 0
}
function word(text, key,    at) {
    at = index(text, "\"" key "\": \"")
    if (at == 0) return ""
    text = substr(text, at + length(key) + 5)
    return substr(text, 1, index(text, "\"") - 1)
}
function place(ratio) { # pixels; what lies outside is put at the edge
    ratio = ratio < low ? low : ratio
    ratio = ratio > high ? high : ratio
    return left + width * log(ratio / low) / log(high / low)
}
BEGIN {
    left = 190; width = 640; top = 86; step = 22; low = 0.125; high = 64
    colour["glibc"] = "#64748b"; colour["jemalloc"] = "#b45309"; colour["mimalloc"] = "#7c3aed"
    colour["tcmalloc"] = "#0891b2"; colour["message"] = "#86efac"
}
/^"date": / { date = word($0, "date") }
/^"machine": / { machine = word($0, "machine") }
/"row": / {
    row = word($0, "row"); variant = word($0, "variant")
    value = figure($0, what == "memory" ? "resident_over_live" : "cpu_ns_per_op")
    if (value <= 0) next
    if (!(row in has)) { has[row] = 1; rows[++count] = row }
    if (!(variant in is_variant) && variant != "fettle") { is_variant[variant] = 1; variants[++variant_count] = variant }
    found[row, variant] = value
}
END {
    if (what == "memory") { low = 0.5; high = 4 }
    height = top + count * step + 16
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 %d\" font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"12\">\n", height
    printf "<rect width=\"860\" height=\"%d\" fill=\"#ffffff\"/>\n", height
    printf "<text x=\"14\" y=\"24\" font-size=\"14\" font-weight=\"bold\" fill=\"#0f172a\">%s</text>\n", \
        what == "memory" ? "Resident memory over live bytes, in parts of Fettle's (left of the line: less than Fettle)" : \
        "Processor time an operation, in parts of Fettle's (left of the line: faster than Fettle)"
    printf "<text x=\"14\" y=\"42\" fill=\"#64748b\">%s; %s</text>\n", date, machine
    for (v = 1; v <= variant_count; v++) {
        printf "<circle cx=\"%d\" cy=\"58\" r=\"5\" fill=\"%s\"/><text x=\"%d\" y=\"62\" fill=\"#334155\">%s</text>\n", \
            left + 6 + (v - 1) * 128, colour[variants[v]], left + 16 + (v - 1) * 128, \
            variants[v] == "message" ? "Fettle, message" : variants[v]
    }
    for (mark = low; mark <= high; mark *= 2) {
        printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"%s\"/>\n", \
            place(mark), place(mark), top, height - 14, mark == 1 ? "#15803d" : "#e2e8f0", mark == 1 ? 2 : 1
        printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"%s\">%s</text>\n", place(mark), top - 6, \
            mark == 1 ? "#15803d" : "#64748b", mark == 1 ? "Fettle" : mark < 1 ? sprintf("1/%d", 1 / mark) : mark "x"
    }
    for (r = 1; r <= count; r++) {
        y = top + (r - 0.5) * step
        printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"#0f172a\">%s</text>\n", left - 10, y + 4, rows[r]
        own = found[rows[r], "fettle"]
        if (own <= 0) continue
        for (v = 1; v <= variant_count; v++)
            if (found[rows[r], variants[v]] > 0)
                printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\" fill-opacity=\"0.85\"><title>%s %s: %.2f</title></circle>\n", \
                    place(found[rows[r], variants[v]] / own), y, colour[variants[v]], rows[r], variants[v], found[rows[r], variants[v]] / own
    }
    print "</svg>"
}
