# The JSON of bench/run in, an SVG out. For each row three bars, from Fettle's own time: the best bare allocator, the best
# equal baseline, and Fettle with policy message; to the left of Fettle is faster than Fettle. Logarithmic. A thin mark on a
# bar's line is the floor of bench/floors. With -v what=memory: resident memory over live bytes, likewise.

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
function kind(name) { return name == "fettle" || name == "message" ? name : name ~ /^equal-/ ? "equal" : "bare" }
function place(ratio) { # pixels; what lies outside is put at the edge
    ratio = ratio < low ? low : ratio
    ratio = ratio > high ? high : ratio
    return left + width * log(ratio / low) / log(high / low)
}
function family(row) { # rows of one family stand together
    sub(/[-_]?[0-9].*$/, "", row)
    if (row ~ /^trace-/) sub(/-(touch|fill)$/, "", row)
    if (row ~ /^(churn|server|handoff|sixteen|pairs|threads)/) sub(/-.*$/, "", row)
    return row
}
function text(x, y, what, fill, more) {
    printf "<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\"%s>%s</text>\n", x, y, fill, more == "" ? "" : " " more, what
}
function bar(y, ratio, which, said, fit,    from, to, swap) {
    from = place(1); to = place(ratio)
    printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"1.5\" fill=\"%s\"/>\n", \
        (from < to ? from : to), y, (from < to ? to - from : from - to) + 0.5, thick, colour[which]
    if (fit > 0)
        printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#be123c\" stroke-width=\"1.6\"/>\n", \
            place(fit), place(fit), y - 1, y + thick + 1
    # The words stand beyond the floor's mark, if that is beyond the bar.
    if (fit > 0 && (ratio < 1 ? fit < ratio : fit > ratio))
        to = place(fit)
    text(ratio < 1 ? to - 4 : to + 4, y + thick - 1.2, said, "#475569", "font-size=\"9\"" (ratio < 1 ? " text-anchor=\"end\"" : ""))
}
function shown(ratio) { return ratio >= 99.5 ? sprintf("%.0f", ratio) : ratio >= 9.95 ? sprintf("%.1f", ratio) : sprintf("%.2f", ratio) }
function legend(x, which, said) {
    printf "<rect x=\"%d\" y=\"54\" width=\"14\" height=\"%d\" rx=\"1.5\" fill=\"%s\"/>\n", x, thick, colour[which]
    text(x + 19, 62, said, "#334155", "")
}

BEGIN {
    left = 178; width = 640; top = 108; thick = 8; inner = 10; between = 7; apart = 9
    low = 0.03125; high = 32
    colour["bare"] = "#64748b"; colour["equal"] = "#0e7490"; colour["message"] = "#a3b18a"
    kinds[1] = "bare"; kinds[2] = "equal"; kinds[3] = "message"
}
/^"date": / { date = word($0, "date") }
/^"machine": / { machine = word($0, "machine") }
/"variant": / {
    row = word($0, "row"); variant = word($0, "variant"); of = kind(variant)
    value = figure($0, what == "memory" ? "resident_over_live" : "cpu_ns_per_op")
    if (value <= 0) next
    if (!(row in has)) { has[row] = 1; rows[++count] = row }
    if (!((row, of) in found) || value < found[row, of]) {
        found[row, of] = value
        whose[row, of] = variant
        sub(/^equal-/, "", whose[row, of])
    }
}
/"what": / {
    if (word($0, "what") != "resident")
        least[word($0, "row"), word($0, "what")] = figure($0, "at_least")
}
END {
    if (what == "memory") { low = 0.25; high = 8 }
    y = top
    for (r = 1; r <= count; r++) {
        if (r > 1) y += family(rows[r]) == family(rows[r - 1]) ? between : between + apart
        at[r] = y
        y += 3 * inner
    }
    height = y + 34
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 %d\" font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"11.5\">\n", height
    printf "<rect width=\"900\" height=\"%d\" fill=\"#ffffff\"/>\n", height
    text(14, 24, what == "memory" ? "Resident memory over live bytes, in parts of Fettle's" : "Processor time an operation, in parts of Fettle's", \
        "#0f172a", "font-size=\"15\" font-weight=\"bold\"")
    text(14, 42, date "; " machine, "#64748b", "")
    legend(left - 30, "bare", "best of malloc alone"); legend(left + 130, "equal", "best counted tensor over malloc")
    legend(left + 360, "message", "Fettle, policy message")
    if (what != "memory") {
        printf "<line x1=\"%d\" x2=\"%d\" y1=\"52\" y2=\"64\" stroke=\"#be123c\" stroke-width=\"1.6\"/>\n", left + 545, left + 545
        text(left + 552, 62, "floor", "#334155", "")
    }
    for (mark = low; mark <= high; mark *= 2) {
        printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"%s\"/>\n", \
            place(mark), place(mark), top - 4, height - 26, mark == 1 ? "#15803d" : "#e2e8f0", mark == 1 ? 2 : 1
        said = mark == 1 ? "Fettle" : mark < 1 ? sprintf("1/%d", 1 / mark) : mark "x"
        text(place(mark), top - 9, said, mark == 1 ? "#15803d" : "#64748b", "text-anchor=\"middle\"" (mark == 1 ? " font-weight=\"bold\"" : ""))
        text(place(mark), height - 12, said, mark == 1 ? "#15803d" : "#64748b", "text-anchor=\"middle\"" (mark == 1 ? " font-weight=\"bold\"" : ""))
    }
    text(place(1) - 34, top - 23, "&#8592; less than Fettle", "#64748b", "font-size=\"10\" text-anchor=\"end\"")
    text(place(1) + 34, top - 23, "more than Fettle &#8594;", "#64748b", "font-size=\"10\"")
    for (r = 1; r <= count; r++) {
        text(left - 12, at[r] + 1.5 * inner + 3, rows[r], "#0f172a", "text-anchor=\"end\"")
        own = found[rows[r], "fettle"]
        if (own <= 0) continue
        for (k = 1; k <= 3; k++) {
            value = found[rows[r], kinds[k]]
            if (value <= 0) continue
            bar(at[r] + (k - 1) * inner, value / own, kinds[k], \
                shown(value / own) (kinds[k] == "message" ? "" : " " whose[rows[r], kinds[k]]), \
                what == "memory" || kinds[k] == "message" ? 0 : least[rows[r], kinds[k]])
        }
    }
    print "</svg>"
}
