# shellcheck shell=sh
# The page of `explain --html` in a browser: no error, no request, nothing wider than the window, every button works, keys alone
# reach all of it, both languages, and it is read without a script. Needs Chromium.
. tests/cli/lib/program.sh

browser=''
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" > /dev/null 2>&1; then browser=$name; break; fi
done
if [ -z "$browser" ]; then
    skip "page" "no chromium, chromium-browser or google-chrome to open it in"
    exit 0
fi
case $fovea in /*) ;; *) fovea=$PWD/$fovea ;; esac
cross=$PWD/tests/golden/encoders/cross
cd "$scratch" || exit 1
sample_table 1 20 > train.tsv
sample_table 21 28 > valid.tsv
"$fovea" train classify --train train.tsv --valid valid.tsv --out shop --layers 1 --width 32 --heads 2 --ffn 64 --max-len 48 --vocab 400 --no-wide --steps 30 --quiet > /dev/null 2>&1
hostile='where is my <script>alert(1)</script> parcel & "card" 快递到哪里了？</p>'
"$fovea" explain shop --input "$hostile" --html text.html > /dev/null 2>&1
"$fovea" explain "$cross" --input 'a cat sat on the mat' --input2 'the dog ran' --html pair.html > /dev/null 2>&1
"$fovea" explain shop --input 'card' --html none.html > /dev/null 2>&1
expect_equal "pages name no other host" "$(grep -c 'https\{0,1\}:' text.html pair.html none.html | tr '\n' ' ')" "text.html:0 pair.html:0 none.html:0 "

# What a person would do with it; the findings are left in the page's title.
cat > act.html <<'END'
<script>
const findings = [], check = (fine, what) => { if (!fine) findings.push(what); };
const fits = (when) => check(document.documentElement.scrollWidth <= innerWidth, `${when}: ${document.documentElement.scrollWidth} px in a window of ${innerWidth}`);
const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
addEventListener("error", (event) => findings.push("error: " + event.message));
fits("at first");
check(!document.querySelector("main").innerHTML.includes("undefined"), "something has no words");
check(!document.querySelector("main script"), "the text became markup");
for (let i = 0; i < document.querySelectorAll("nav button").length; i++) document.querySelectorAll("nav button")[i].click();
for (let i = 0; i < document.querySelectorAll(".heads button").length; i++) document.querySelectorAll(".heads button")[i].click();
check(document.querySelectorAll(".heads button[aria-pressed=true]").length === 1, "not one head is chosen");
for (const text of document.querySelectorAll(".text")) check(text.querySelectorAll("[tabindex='0']").length === 1, "a text is not one stop of Tab");
for (const one of document.querySelectorAll("button")) check(one.tabIndex === 0 && (one.textContent || one.getAttribute("aria-label")), "a button cannot be reached or has no name");
const shown = document.querySelector("nav button[data-key^=method]:not(.withheld)");
if (shown) shown.click();
const first = document.querySelector(".word");
first.focus();
press("Enter");
check(document.activeElement.getAttribute("aria-pressed") === "true" && (!shown || document.querySelector(".note").textContent.includes(first.textContent)), "Enter does not choose a word");
if (document.querySelectorAll("[data-key^=word]").length > 1) {
  press("ArrowRight");
  check(document.activeElement.dataset.key === "word1", "an arrow does not go to the next word");
}
document.querySelector(".language").click();
check(document.activeElement === document.body || document.activeElement.dataset.key, "focus is lost");
fits("in the other language");
check(!document.querySelector("main").innerHTML.includes("undefined"), "something has no words in the other language");
document.querySelector(".language").click();
document.title = findings.length ? "FOUND " + findings.join("; ") : "FINE " + document.documentElement.lang;
</script>
END

# open_page FILE WIDTH SCHEME LANGUAGE: its elements as they are at the end in $dom, the console in $console.
open_page() {
    page=$1 width=$2 scheme=$3 language=$4
    dom=$(LANGUAGE="$language" timeout 60 "$browser" --headless=new --no-sandbox --disable-gpu --user-data-dir="$scratch/profile" --no-first-run \
        --disable-background-networking --disable-component-update --lang="$language" --accept-lang="$language" --blink-settings=preferredColorScheme="$scheme" --window-size="$width",900 \
        --enable-logging=stderr --log-level=0 --dump-dom "file://$scratch/$page" 2> "$scratch/console")
    console=$(grep 'CONSOLE' "$scratch/console")
}

open_page text.html 800 1 en
if ! echo "$dom" | grep -q '</html>'; then
    skip "page" "$browser does not run here: $(tail -n 1 "$scratch/console")"
    exit 0
fi
expect_equal "nothing to say on the console" "$console" ""
expect_match "the answer is the first line" "$(echo "$dom" | grep -o '<h1>[^<]*')" '^<h1>“[a-z ]+”, with [0-9.]+ %'
expect_match "a Chinese text is set as one" "$(echo "$dom" | grep -o '<p class="text"[^>]*>')" '<p class="text" lang="zh">'

for page in text pair none; do cat $page.html act.html > $page-acted.html; done
for case in "text 360 1 en" "text 1400 0 zh" "pair 360 0 zh" "pair 800 1 en" "none 360 1 en"; do
    # shellcheck disable=SC2086 # words
    set -- $case
    open_page "$1-acted.html" "$2" "$3" "$4"
    expect_equal "acted on, $case" "$(echo "$dom" | sed -n 's/.*<title>\(.*\)<\/title>.*/\1/p')" "FINE $4"
    expect_equal "and the console is empty" "$console" ""
done

# What stands in the file before the script: a browser without scripts shows it.
plain=$(sed -n '/<main>/,/<\/main>/p' text.html)
expect_match "without a script: the answer" "$plain" '<h1>[a-z ]+, with [0-9.]+ %\.</h1>'
expect_match "the text, markup spelled out" "$plain" '&lt;'
expect_match "and figures" "$plain" 'leave-one-out</td><td>[+-][0-9.]+</td>'
