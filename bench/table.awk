# Lines "row TAB variant TAB json" in, the table out; with -v json=FILE the medians go there too, one a line.

function figure(text, key,    at) { # -1: it is not there
    at = index(text, "\"" key "\": ")
    return at == 0 ? -1 : substr(text, at + length(key) + 4) + 0
}
function median(list,    n, values, i, j, swap) {
    n = split(list, values, " ")
    if (n == 0)
        return -1
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && values[j - 1] + 0 > values[j] + 0; j--) {
            swap = values[j]; values[j] = values[j - 1]; values[j - 1] = swap
        }
    return n % 2 ? values[(n + 1) / 2] + 0 : (values[n / 2] + values[n / 2 + 1]) / 2
}
function short(value) {
    if (value < 0) return "-"
    if (value < 99.95) return sprintf("%.1f", value)
    if (value < 99999.5) return sprintf("%.0f", value)
    if (value < 99999500) return sprintf("%.0fk", value / 1000)
    return sprintf("%.0fM", value / 1000000)
}
function ratio(value) { return value < 0 ? "-" : sprintf("%.2f", value) }
# The least of the peers for a row: of what[row, peer].
function best(what, row,    i, least) {
    least = -1
    for (i = 1; i <= variant_count; i++)
        if (is_peer(variant[i]) && what[row, variant[i]] >= 0 && (least < 0 || what[row, variant[i]] < least))
            least = what[row, variant[i]]
    return least
}
function is_peer(name) { return name != "fettle" && name != "message" }
function over(above, below) { return above >= 0 && below > 0 ? above / below : -1 }

BEGIN { FS = "\t"; variant_count = split(variants, variant, " ") }
{
    if (!($1 in seen)) { seen[$1] = 1; row[++row_count] = $1 }
    cpu_list[$1, $2] = cpu_list[$1, $2] " " figure($3, "cpu_ns_per_op")
    wall_list[$1, $2] = wall_list[$1, $2] " " figure($3, "wall_ns_per_op")
    peak_list[$1, $2] = peak_list[$1, $2] " " figure($3, "peak_resident_bytes")
    if (figure($3, "resident_over_live") >= 0) {
        memory_list[$1, $2] = memory_list[$1, $2] " " figure($3, "resident_over_live")
        has_memory[$1] = 1
    }
    runs[$1, $2]++
}
END {
    for (r = 1; r <= row_count; r++)
        for (i = 1; i <= variant_count; i++) {
            at = row[r] SUBSEP variant[i]
            cpu[at] = median(cpu_list[at]); wall[at] = median(wall_list[at])
            peak[at] = median(peak_list[at]); memory[at] = median(memory_list[at])
            time[at] = by == "wall" ? wall[at] : cpu[at]
        }
    print ""
    print date "; " machine
    print versions "; " rounds " rounds in turns, " time_ms " ms each, medians"
    print ""
    print (by == "wall" ? "wall" : "processor") " time an operation in nanoseconds. ratio: the best of the others over Fettle, more is better."
    print "message: Fettle with every drop sent to the cleanup actor; its ratio is to Fettle as it ships, less is better."
    print ""
    head = sprintf("%-26s", "row")
    for (i = 1; i <= variant_count; i++)
        head = head sprintf("%10s", variant[i]) (variant[i] == "fettle" || variant[i] == "message" ? "  ratio" : "")
    print head
    for (r = 1; r <= row_count; r++) {
        line = sprintf("%-26s", row[r])
        for (i = 1; i <= variant_count; i++) {
            at = row[r] SUBSEP variant[i]
            line = line sprintf("%10s", short(time[at]))
            if (variant[i] == "fettle")
                line = line sprintf("%7s", ratio(over(best(time, row[r]), time[at])))
            if (variant[i] == "message")
                line = line sprintf("%7s", ratio(over(time[at], time[row[r], "fettle"])))
        }
        print line
    }
    print_memory()
    print_growth()
    if (json != "") write_json()
}
function print_memory(    r, i, line, any) {
    for (r = 1; r <= row_count; r++) {
        if (!(row[r] in has_memory)) continue
        if (!any++) {
            print ""
            print "resident memory over live bytes (traces: both at their peaks). ratio: Fettle over the lowest of the others, less is better."
            print ""
            print head
        }
        line = sprintf("%-26s", row[r])
        for (i = 1; i <= variant_count; i++) {
            line = line sprintf("%10s", ratio(memory[row[r], variant[i]]))
            if (variant[i] == "fettle")
                line = line sprintf("%7s", ratio(over(memory[row[r], variant[i]], best(memory, row[r]))))
            if (variant[i] == "message")
                line = line sprintf("%7s", ratio(over(memory[row[r], variant[i]], memory[row[r], "fettle"])))
        }
        print line
    }
}
function print_growth(    i, line) {
    if (!("grow-1e6" in seen) || !("grow-1e3" in seen)) return
    print ""
    line = sprintf("%-26s", "grow, 1e6 over 1e3 live")
    for (i = 1; i <= variant_count; i++)
        line = line sprintf("%10s", ratio(over(time["grow-1e6", variant[i]], time["grow-1e3", variant[i]]))) \
            (variant[i] == "fettle" || variant[i] == "message" ? "       " : "")
    print line
}
function write_json(    r, i, at, comma) {
    printf "{\n\"date\": \"%s\",\n\"machine\": \"%s\",\n\"versions\": \"%s\",\n\"rounds\": %d,\n\"time_ms\": %d,\n\"results\": [", \
        date, machine, versions, rounds, time_ms > json
    for (r = 1; r <= row_count; r++)
        for (i = 1; i <= variant_count; i++) {
            at = row[r] SUBSEP variant[i]
            if (!(at in runs)) continue
            printf "%s\n{\"row\": \"%s\", \"variant\": \"%s\", \"runs\": %d, \"cpu_ns_per_op\": %.3f, \"wall_ns_per_op\": %.3f, \"peak_resident_bytes\": %.0f", \
                comma, row[r], variant[i], runs[at], cpu[at], wall[at], peak[at] > json
            if (memory[at] >= 0) printf ", \"resident_over_live\": %.4f", memory[at] > json
            printf "}" > json
            comma = ","
        }
    print "\n]\n}" > json
}
