# bench/floors, then lines "row TAB variant TAB json" in; the tables out. With -v json=FILE all of it goes there too, one
# figure of a variant, or one floor, a line.
#
# A variant is NAME (bare, over that allocator), equal-NAME, fettle, or message.

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
function ratio(value) { return value < 0 ? "-" : sprintf(value < 99.95 ? "%.2f" : "%.0f", value) }
function over(above, below) { return above >= 0 && below > 0 ? above / below : -1 }
function kind(name) { return name == "fettle" || name == "message" ? "own" : name ~ /^equal-/ ? "equal" : "bare" }
function peer(name) { sub(/^equal-/, "", name); return name }

# The variant of that kind ("": bare or equal) with the least of what[row, variant]; "" if there is none.
function best(what, row, wanted,    i, name, least) {
    least = ""
    for (i = 1; i <= variant_count; i++) {
        name = variant[i]
        if (kind(name) == "own" || (wanted != "" && kind(name) != wanted) || what[row, name] < 0)
            continue
        if (least == "" || what[row, name] < what[row, least])
            least = name
    }
    return least
}
function fits(name, pattern) {
    return pattern ~ /\*$/ ? index(name, substr(pattern, 1, length(pattern) - 1)) == 1 : name == pattern
}
function floor_of(row, column,    i) { # "": there is none
    for (i = 1; i <= floor_count; i++)
        if (fits(row, floor_row[i]))
            return floor[i, column] == "-" ? "" : floor[i, column]
    return ""
}
# Notes how far a row is, and says it: "reached", "0.62 of 1.2" (at least), "1.30, not 1.1" (at most).
function judge(row, what, value, bound, at_most, against,    reached, said) {
    if (value < 0)
        return "-"
    reached = bound == "" ? "" : at_most ? (value <= bound + 0.0005) : (value >= bound - 0.0005)
    judged[++judged_count] = sprintf("{\"row\": \"%s\", \"what\": \"%s\", \"value\": %.4f%s%s}", row, what, value, \
        against == "" ? "" : ", \"against\": \"" against "\"", bound == "" ? "" : sprintf(", \"%s\": %.4f, \"reached\": %s", \
        at_most ? "at_most" : "at_least", bound, reached ? "true" : "false"))
    if (bound == "")
        return ratio(value)
    floors_in_all++
    said = ratio(value) (reached ? " reached" : (at_most ? ", not " : " of ") sprintf("%.4g", bound))
    if (reached)
        floors_reached++
    else if (row in missed)
        missed[row] = missed[row] "; " what " " said
    else {
        missed_row[++missed_count] = row
        missed[row] = what " " said
    }
    return said
}

BEGIN { FS = "\t"; variant_count = split(variants, variant, " ") }
FILENAME ~ /floors$/ {
    if ($0 !~ /^#/ && split($0, part, / +/) == 7) {
        floor_row[++floor_count] = part[1]
        floor[floor_count, "bare"] = part[2]; floor[floor_count, "equal"] = part[3]; floor[floor_count, "message"] = part[4]
        floor[floor_count, "resident"] = part[5]; floor[floor_count, "efficiency"] = part[6]
        floor[floor_count, "ns"] = part[7]
    }
    next
}
{
    if (!($1 in seen)) { seen[$1] = 1; row[++row_count] = $1 }
    runs[$1, $2]++
    cpu_list[$1, $2] = cpu_list[$1, $2] " " figure($3, "cpu_ns_per_op")
    wall_list[$1, $2] = wall_list[$1, $2] " " figure($3, "wall_ns_per_op")
    peak_list[$1, $2] = peak_list[$1, $2] " " figure($3, "peak_resident_bytes")
    if (figure($3, "resident_over_live") >= 0) {
        resident_list[$1, $2] = resident_list[$1, $2] " " figure($3, "resident_over_live")
        has_resident[$1] = 1
    }
    if (figure($3, "efficiency") >= 0)
        efficiency_list[$1, $2] = efficiency_list[$1, $2] " " figure($3, "efficiency")
    if (figure($3, "held_gone_ms") >= 0)
        gone_list[$1, $2] = gone_list[$1, $2] " " figure($3, "held_gone_ms")
}
END {
    for (r = 1; r <= row_count; r++)
        for (i = 1; i <= variant_count; i++) {
            at = row[r] SUBSEP variant[i]
            cpu[at] = median(cpu_list[at]); wall[at] = median(wall_list[at]); peak[at] = median(peak_list[at])
            resident[at] = median(resident_list[at]); efficiency[at] = median(efficiency_list[at])
            gone[at] = median(gone_list[at])
            time[at] = by == "wall" ? wall[at] : cpu[at]
        }
    print ""
    print date "; " machine
    print versions "; " (rounds == 0 ? "printed from earlier runs" : rounds " rounds in turns, " time_ms " ms each") ", medians"
    print_times()
    print_ratios()
    print_memory()
    print_growth()
    print_throughput()
    print_gone()
    print_missed()
    if (json != "") write_json()
}

# ---- one column a variant -----------------------------------------------------------------------------------
function print_heads(first,    i, above, below, columns) {
    above = sprintf("%-25s", ""); below = sprintf("%-25s", first); columns = 0
    for (i = 1; i <= variant_count; i++) {
        columns++
        below = below sprintf("%9s", variant[i] == "fettle" ? "auto" : peer(variant[i]))
        if (i == variant_count || kind(variant[i]) != kind(variant[i + 1])) {
            above = above head(kind(variant[i]) == "own" ? "Fettle" : kind(variant[i]), columns * 9)
            columns = 0
        }
    }
    print above
    print below
}
function head(name, width,    dashes) { # "  ---- name ----"
    dashes = width - length(name) - 4
    return "  " substr("----------------------------------------", 1, int(dashes / 2)) " " name " " \
        substr("----------------------------------------", 1, dashes - int(dashes / 2))
}
function print_line(name, what, form,    i, line) {
    line = sprintf("%-25s", name)
    for (i = 1; i <= variant_count; i++)
        line = line sprintf("%9s", form == "time" ? short(what[name, variant[i]]) : ratio(what[name, variant[i]]))
    print line
}
function print_times(    r) {
    print ""
    print (by == "wall" ? "Wall" : "Processor") " time an operation, in nanoseconds. bare: malloc alone; equal: a counted tensor over malloc."
    print ""
    print_heads("row")
    for (r = 1; r <= row_count; r++)
        print_line(row[r], time, "time")
}

# ---- Fettle against the best ----------------------------------------------------------------------------------
function against(row, wanted,    name) {
    name = best(time, row, wanted)
    if (name == "")
        return sprintf("%-9s%7s  %-13s", "-", "-", "-")
    return sprintf("%-9s%7s  %-13s", peer(name), short(time[row, name]), \
        judge(row, wanted, over(time[row, name], time[row, "fettle"]), floor_of(row, wanted), 0, name))
}
function print_ratios(    r, name, line) {
    print ""
    print "The best of each baseline over Fettle (more is better), and policy message over Fettle (less is better);"
    print "where there is a floor: \"reached\", or how much of it."
    print ""
    printf "%-23s%8s  %-33s%-33s%-8s %s\n", "row", "Fettle", "  best bare", "  best equal", "message", "over Fettle"
    for (r = 1; r <= row_count; r++) {
        name = row[r]
        line = sprintf("%-23s%8s    %s  %s", name, short(time[name, "fettle"]), against(name, "bare"), against(name, "equal"))
        line = line sprintf("%7s  %s", short(time[name, "message"]), \
            judge(name, "message", over(time[name, "message"], time[name, "fettle"]), floor_of(name, "message"), 1, "fettle"))
        if (floor_of(name, "ns") != "")
            line = line "; ns: " judge(name, "ns", time[name, "fettle"], floor_of(name, "ns"), 1, "")
        sub(/ +$/, "", line)
        print line
    }
}

# ---- memory -----------------------------------------------------------------------------------------------
function print_memory(    r, name, lowest, bound, any, line) {
    for (r = 1; r <= row_count; r++) {
        if (!(row[r] in has_resident))
            continue
        if (!any++) {
            print ""
            print "Resident memory over live bytes: in steady state (sixteen), after " rest " s of rest (settle), at the peaks (traces)."
            print ""
            print_heads("row")
        }
        print_line(row[r], resident, "ratio")
    }
    if (!any)
        return
    print ""
    printf "%-25s%9s   %-20s%-18s%s\n", "row", "Fettle", "lowest of the others", "  at most", "efficiency (live over committed)"
    for (r = 1; r <= row_count; r++) {
        name = row[r]
        if (!(name in has_resident) || resident[name, "fettle"] < 0)
            continue
        lowest = best(resident, name, "")
        bound = floor_of(name, "resident")
        if (bound == "lowest")
            bound = lowest == "" ? "" : sprintf("%.2f", resident[name, lowest])
        line = sprintf("%-25s%9s   %6s %-15s%-18s", name, ratio(resident[name, "fettle"]), \
            lowest == "" ? "-" : ratio(resident[name, lowest]), lowest, \
            judge(name, "resident", int(resident[name, "fettle"] * 100 + 0.5) / 100, bound, 1, lowest))
        if (efficiency[name, "fettle"] >= 0)
            line = line judge(name, "efficiency", efficiency[name, "fettle"], floor_of(name, "efficiency"), 0, "")
        sub(/ +$/, "", line)
        print line
    }
}

# ---- what several rows say together --------------------------------------------------------------------------
function print_growth(    i, name) {
    if (!("grow-1e6" in seen) || !("grow-1e3" in seen)) return
    for (i = 1; i <= variant_count; i++)
        growth["grow-1e6 over grow-1e3", variant[i]] = over(time["grow-1e6", variant[i]], time["grow-1e3", variant[i]])
    print ""
    print_heads("cost at 1e6 live over 1e3")
    print_line("grow-1e6 over grow-1e3", growth, "ratio")
    name = best(time, "grow-1e6", "")
    if (name != "" && growth["grow-1e6 over grow-1e3", "fettle"] >= 0)
        print "Fettle's growth, not above that of the fastest of the others at 1e6 (" kind(name) " " peer(name) "): " \
            judge("grow-1e6 over grow-1e3", "growth", growth["grow-1e6 over grow-1e3", "fettle"], \
                  growth["grow-1e6 over grow-1e3", name], 1, name)
}
function print_throughput(    v, name, n, i, counts, line, worst, at, heading) {
    n = split("1 2 4 8 16 32", counts, " ")
    for (v = 1; v <= variant_count; v++) {
        name = variant[v]
        if (kind(name) != "own" || !("threads-2" in seen) || wall["threads-2", name] <= 0)
            continue
        line = sprintf("%-10s", name == "fettle" ? "auto" : name); worst = -1; heading = sprintf("%-10s", "threads")
        for (i = 1; i <= n; i++) {
            if (!(("threads-" counts[i]) in seen))
                continue
            at = over(wall["threads-2", name], wall["threads-" counts[i], name])
            heading = heading sprintf("%8s", counts[i])
            line = line sprintf("%8s", ratio(at))
            if (counts[i] > 2 && at >= 0 && (worst < 0 || at < worst))
                worst = at
        }
        if (worst < 0)
            continue
        if (!any_throughput++) {
            print ""
            print "Throughput (wall time) of so many threads in parts of that of two, and the least of it beyond two:"
            print ""
            print heading
        }
        print line "    " judge("threads-4 to 32", name == "fettle" ? "throughput" : "message", worst, 0.75, 0, "threads-2")
    }
}
function print_gone(    v) {
    for (v = 1; v <= variant_count; v++)
        if (("threads-come-and-go" in seen) && gone["threads-come-and-go", variant[v]] >= 0)
            printf "%s%s: nothing is held for threads that are gone, %.0f ms after the last\n", any_gone++ ? "" : "\n", \
                variant[v], gone["threads-come-and-go", variant[v]]
}
function print_missed(    i) {
    print ""
    if (!floors_in_all)
        return
    printf "floors reached: %d of %d%s\n", floors_reached, floors_in_all, missed_count ? "; not reached:" : ""
    for (i = 1; i <= missed_count; i++)
        printf "    %-25s %s\n", missed_row[i], missed[missed_row[i]]
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
            if (resident[at] >= 0) printf ", \"resident_over_live\": %.4f", resident[at] > json
            if (efficiency[at] >= 0) printf ", \"efficiency\": %.4f", efficiency[at] > json
            if (gone[at] >= 0) printf ", \"held_gone_ms\": %.1f", gone[at] > json
            printf "}" > json
            comma = ","
        }
    printf "\n],\n\"floors\": [" > json
    for (i = 1; i <= judged_count; i++)
        printf "%s\n%s", (i > 1 ? "," : ""), judged[i] > json
    print "\n]\n}" > json
}
