# callgrind's file in; a line "PROGRAM'S FUNCTION, CALLED FUNCTION, calls, instructions" for what instructions_of_* call.
function named(text,    id, name) { # "fn=(12) name" gives the number its name, "fn=(12)" uses it
    sub(/^[a-z]+=/, "", text)
    id = text; sub(/\).*/, ")", id)
    name = substr(text, length(id) + 2)
    if (name != "") names[id] = name
    return names[id]
}
/^fn=/ { caller = named($0); next }
/^cfn=/ { callee = named($0); next }
/^calls=/ {
    split(substr($0, 7), part, " ")
    getline # of the call: its line and what it cost with all it called
    n = split($0, cost, " ")
    if (caller ~ /^instructions_of_/) {
        calls[caller " " callee] += part[1]
        instructions[caller " " callee] += cost[n]
    }
}
END { for (at in calls) printf "%s %d %d\n", at, calls[at], instructions[at] }
