#!/usr/bin/env bash
# manual.sh THAW: the manual page thaw(1) on standard output, made from the command's own help texts.
set -euo pipefail
thaw=$1

# Text -> roff that keeps its lines: backslashes, and dots or quotes at the start of a line, are roff's own.
escape() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"; }
block() { printf '.nf\n%s\n.fi\n' "$(escape)"; }

help=$("$thaw" --help)
version=$("$thaw" --version)
printf '.TH THAW 1 "" "%s" "User Commands"\n' "$version"
printf '.SH NAME\nthaw \\- transfer learning of image networks on clusters of CPU nodes\n'
printf '.SH SYNOPSIS\n'
sed -n '1,/^$/s/^\(usage:\|      \) //p' <<<"$help" | block
printf '.SH DESCRIPTION\n'
sed '1,/^$/d' <<<"$help" | block
for verb in $(sed -n '/^verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' <<<"$help" | grep -v '^help$'); do
  printf '.SH "THAW %s"\n' "${verb^^}"
  "$thaw" "$verb" --help | block
done
printf '.SH "JOB FILE"\n'
"$thaw" help job | block
