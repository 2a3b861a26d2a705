// SPDX-License-Identifier: Apache-2.0
// Takes the macros of schema.def away; see schema_empty.h.
#undef MAP
#undef NESTED
#undef FLAG
#undef COUNT
#undef DURATION
#undef SIZE
#undef WORDS
#undef OTHER
#undef NEEDED
#undef ALIAS
#undef LATER
#undef WORD
#undef WORD_ALIAS
#undef WORD_LATER
