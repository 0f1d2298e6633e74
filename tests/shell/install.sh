# What the library gives to others: the public symbols and no more, and an installation that is whole.
. tests/shell/lib/check.sh

# Names declared with FV_API in the public headers; a declaration starts at a line's beginning.
cat include/*.h | sed -n 's/^FV_API .*[ *]\(fv_[a-z0-9_]*\)(.*/\1/p' | LC_ALL=C sort > "$scratch/declared"
if command -v nm > /dev/null && [ "$(uname)" = Linux ]; then
    nm -D --defined-only build/libfovea.so | sed -n 's/.* [A-TV-Z] //p' | grep -v '^__\|^_init$\|^_fini$' | LC_ALL=C sort > "$scratch/exported"
    expect_equal "what is declared is exported" "$(LC_ALL=C comm -23 "$scratch/declared" "$scratch/exported" | tr '\n' ' ')" ""
    expect_equal "nothing else is exported" "$(LC_ALL=C comm -13 "$scratch/declared" "$scratch/exported" | tr '\n' ' ')" ""
else
    echo "skip exported symbols: needs nm and ELF"
fi

"${MAKE:-make}" -s install PREFIX=/opt/f DESTDIR="$scratch" > "$scratch/log" 2>&1 || not_ok "make install" "$(tail -n 5 "$scratch/log")"
for file in bin/fovea bin/fovea-serve bin/fovea-pull include/fovea.h lib/libfovea.a lib/libfovea.so lib/pkgconfig/fovea.pc share/man/man1/fovea.1 \
    share/bash-completion/completions/fovea share/zsh/site-functions/_fovea share/fish/vendor_completions.d/fovea.fish; do
    if [ -s "$scratch/opt/f/$file" ]; then ok "installs $file"; else not_ok "installs $file" "missing or empty"; fi
done
expect_equal "the pkg-config file knows the prefix, not the staging folder" \
    "$(PKG_CONFIG_PATH=$scratch/opt/f/lib/pkgconfig pkg-config --variable=prefix fovea)" /opt/f
expect_match "the installed program starts" "$("$scratch/opt/f/bin/fovea" --version)" '^fovea [0-9]'
expect_match "and finds its server beside it" "$("$scratch/opt/f/bin/fovea" serve --model no-such-folder --listen 127.0.0.1:0 2>&1)" '^fovea: no-such-folder'
