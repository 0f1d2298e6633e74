# Models of a hub by their names, without a network: a cache as huggingface_hub leaves it; what `pull` says when it cannot.
# shellcheck shell=sh disable=SC2154 # names come from the file that is read
. tests/cli/lib/program.sh
model=$PWD/tests/golden/encoders/sentence
cd "$scratch" || exit 1
commit=0123456789abcdef0123456789abcdef01234567
cache=$scratch/home/hub/models--shop--small
mkdir -p "$cache/snapshots" "$cache/refs/pr"
ln -s "$model" "$cache/snapshots/$commit"
printf %s "$commit" > "$cache/refs/main"
unset HF_HUB_CACHE HUGGINGFACE_HUB_CACHE HF_TOKEN HUGGING_FACE_HUB_TOKEN HF_TOKEN_PATH TRANSFORMERS_OFFLINE TERM
export HF_HOME="$scratch/home" HF_HUB_OFFLINE=1

expected=$(echo 'a cat sat.' | "$fovea" embed "$model")
expect_equal "a name in the cache is a model" "$(echo 'a cat sat.' | "$fovea" embed shop/small)" "$expected"
expect_equal "with its revision too" "$(echo 'a cat sat.' | "$fovea" embed "shop/small@$commit")" "$expected"
expect_equal "HF_HUB_CACHE alone names the cache" "$(echo 'a cat sat.' | HF_HOME=/none HF_HUB_CACHE=$scratch/home/hub "$fovea" embed shop/small)" "$expected"
split "$fovea" embed shop/small@v2 < /dev/null
expect_match "another revision is not there" "$messages" 'shop/small@v2'
mkdir -p shop/small
split "$fovea" embed shop/small < /dev/null
expect_match "a folder of one's own goes first" "$messages" 'shop/small.*config.json'
rmdir shop/small

split "$fovea" pull shop/small
expect_status "pull without a network" 0
expect_equal "says where the model lies" "$out" "$cache/snapshots/$commit"
split "$fovea" pull shop/small --out mine
expect_equal "--out makes a folder and says so" "$out" mine
expect_equal "of real files, which answer the same" "$(echo 'a cat sat.' | "$fovea" embed mine)" "$expected"
expect_equal "without links" "$(find mine -type l | wc -l | tr -d ' ')" 0
echo x > mine/notes
split "$fovea" pull shop/small --out mine
expect_status "a folder with anything else in it is refused" 2
expect_match "and what that is, is said" "$messages" 'mine: holds notes, which is not'
split "$fovea" pull shop/other
expect_status "what is not there is bad input" 3
expect_match "and says why nobody was asked" "$messages" 'HF_HUB_OFFLINE forbids'
split "$fovea" pull ../etc
expect_status "a path is no name" 2
split "$fovea" pull shop/small --revision ../../main
expect_status "nor a revision" 2
unset HF_HUB_OFFLINE
HF_ENDPOINT=ftp://hub split "$fovea" pull shop/small
expect_match "HF_ENDPOINT is an address of the web" "$messages" 'HF_ENDPOINT is .*expected an address'
HF_ENDPOINT=http://127.0.0.1:1 split "$fovea" pull shop/small
expect_status "a hub that is not there" 1
expect_match "is named" "$messages" '^fovea: http://127.0.0.1:1: .*check the network'
