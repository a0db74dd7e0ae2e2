"""Split a line of text into known words: at punctuation, capitals and digits, never inside other words."""

import re
from urllib.parse import unquote

from epitome_kit.sources.contrast_lexicon import KINDS, LEXICON, OTHER_END, OTHER_STEM, without_accents

Token = tuple[str, str | None]
"""A word in lower case, and its group as in :data:`~epitome_kit.sources.contrast_lexicon.LEXICON`; None: unknown."""

_SEP = r"[\s_.-]*"
_AGENT = r"(?:contrast|kontrast|gado|gad|gd|km|ce|c|mdc|inj|iv)"
_SIGN_WORDS = [
    (
        r"((?<![a-z0-9])[a-z]{0,3}t[12](?:w|ce|c|gd|gad)?|flair)(?:to|onto|into|2)(?=t[12](?![0-9])|flair|pd|mni)",
        r"\1 to ",
    ),
    (r"(?<=\d)[\s_]*cm(?![a-z])", "mm "),
    (r"(?<![a-z0-9])w/?o(?:ut)?\s*[/&+]\s*w(?:ith)?(?![a-z/])", " wwo "),
    (r"(?<![a-z0-9])w[\s_./-]{0,3}(?:o|out)(?![a-z0-9])|with[\s_-]out|w/o(?![a-z])", " wo "),
    (r"(?<![a-z0-9])s/\s?(?=c|gd|gad|mdc)", " sin "),
    (r"(?<![a-z0-9])c/\s?(?=c|gd|gad|mdc)", " con "),
    (r"(?<![a-z0-9])prior[\s_-]*to(?![a-z0-9])", " before "),
    (r"minus(?=[\s_-]*t[12])|(?<=[a-z0-9])minus(?=[a-z])", " minus "),
    (r"(?<![a-z0-9])lava[\s_-]*flex|(?<![a-z0-9])flex[\s_-]*lava", " lavaflex "),
    (r"(?<![a-z0-9])[ctl][\s_-]spine", " spine "),
    (r"(?<![a-z0-9])i\.\s?v\.?(?![a-z0-9])", " iv "),
    (r"(?<![a-z])(?:time[\s_-]*points?|time|zeitpunkt|tp)[\s_-]*t?\d+(?![0-9]*[a-z])", " "),
    (r"(?<![a-z0-9])w\s*/(?=\s|[a-z]|$)", " w "),
    (r"\bn\s*/\s*a\b", " "),
    (r"±|\+\s*[/|]?\s*-", " plusminus "),
    (r"t2[\s_-]*(?:\*|star|stern)", " t2star "),
    (rf"(?<![a-z0-9]){_AGENT}\s?\+|\+[\s_]?{_AGENT}(?![a-z])|\(\+\)", " signplus "),
    (r"(?<=t1)c\+|(?<=t1w)c\+", " signplus "),
    (r"(?<=t1)c-(?![a-z0-9])|(?<=t1w)c-(?![a-z0-9])", " signminus "),
    (rf"(?<![a-z0-9]){_AGENT}-(?![a-z0-9])|(?<=[\s_(])-{_AGENT}(?![a-z0-9])|\(-\)", " signminus "),
    (r"(?<=t1)\+(?![a-z0-9])|(?<=t1w)\+(?![a-z0-9])|(?<=mprage)\+(?![a-z0-9])|(?<=bravo)\+(?![a-z0-9])", " signplus "),
    (r"\+\s*$", " ? "),
    (r"\s*(?:[&,]|(?<=t1)/|(?<=t1w)/|\+(?=\s*(?:t[12]|flair)))\s*", " and "),
    (rf"gd{_SEP}dtpa", " gddtpa "),
    (rf"dark{_SEP}fluid", " darkfluid "),
    (r"(?<![a-z0-9])da[\s_-]fl(?![a-z0-9])", " darkfluid "),
    (rf"fluid{_SEP}attenuated", " fluidattenuated "),
    (rf"mp{_SEP}2{_SEP}rage", " mp2rage "),
    (rf"mp{_SEP}rage", " mprage "),
    (rf"field{_SEP}map", " fieldmap "),
    (rf"t1{_SEP}rho", " t1rho "),
    (rf"bias{_SEP}field", " biasfield "),
    (r"fat[\s_-]*(?:sat|sup)(?:[a-z]*?(?=post|pre(?!s)|gad|gd|km|ce)|[a-z]*)", " fatsat "),
    (r"water[\s_-]*exc(?:[a-z]*?(?=post|pre|gad|gd|km|ce)|[a-z]*)", " waterexc "),
    (r"(?:3|three)[\s_-]*plane", " 3plane "),
    (r"(?<![a-z0-9])ep[\s_-]?2d", " ep2d "),
    (r"(?<![a-z0-9])brain[\s_-]fl(?![a-z0-9])", " flair "),
    (r"(?:multi|high|tissue|image|soft)[\s_-]*contrast", " "),
    (r"nati(?:ve|v)[\s_-]*(?:space|res[a-z]*|grid)", " "),
    (r"(?<=t[12])-w(?![a-z0-9])", "w "),
    (r"(?<=t[12])[\s_-]*(?:weighted|gewichtet)", "w "),
    *((rf"(?<![a-z0-9]){letter}[\s_.]*km(?![a-z])", f" {letter}km ") for letter in "nmov"),
]
_SIGNS = [(re.compile(pattern, re.IGNORECASE), word) for pattern, word in _SIGN_WORDS]
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9])(?=[A-Z][0-9a-z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SHORT = {"ax", "3d", "2d", "ce", "gd", "km", "fs", "ir"}
_LOOSE = {"with", "without", "both", "joint", "mass", "toward", "fluid", "frei", "hint"}
_MEASURE = re.compile(r"\d+(p\d+)?(mm|ms|sl|min|iso|deg|x\d+)(iso)?")
_AFFIXES = ("contrast", "kontrast", "post", "prae", "pre", "plus", "gado", "gad", "gd", "km", "ce", "cm", "c")
_OPEN = re.compile("^post.|^ce..|..(post|ce|plus|contr?|cm)$")
_ENGLISH = re.compile(
    "^ce(reb|rv|nt|ll|ph|rt|n|il)|(sli|sour|eren|devi|spa|tra|fa|quen|onan|van|lan|stan|on|ran|bra|for|choi|prin|rfa|"
    "voi|servi|pla|pie|rian|edu|cien|for|nden|den|dan|rman|pli|pri|nni|offi|jui|practi|rodu|redu)ce$"
)
_MAX_TEXT_LENGTH, _MAX_WORD_LENGTH = 400, 40


def split_words(text: str) -> list[Token]:
    """Split a text into words.

    Parameters
    ----------
    text : str
        Only the first 400 characters are used.

    Returns
    -------
    list of (str, str or None)
        See :data:`Token`.
    """
    text = without_accents(unquote(str(text)[:_MAX_TEXT_LENGTH])).replace("ß", "ss")
    for pattern, word in _SIGNS:
        text = pattern.sub(word, text)
    tokens: list[Token] = []
    for chunk in re.findall(r"[^\W_]+|\?", text):
        for word in _split(chunk):
            group = LEXICON.get(word) or ("number" if word.isdigit() else None)
            group = group or ("neutral" if _MEASURE.fullmatch(word) else None)
            stem = None if group else OTHER_STEM.match(word) or OTHER_END.search(word)
            word, group = (stem[0], "other") if stem else (word, group)
            tokens += [(word, part) for part in group.split()] if group and " " in group else [(word, group)]
    return tokens


def has_joined_agent(text: str) -> bool:
    """Return whether an unknown word begins or ends like one for an agent, such as `stealthpost`.

    Parameters
    ----------
    text : str
        Free text.

    Returns
    -------
    bool
    """
    unknown = [word for word, group in split_words(text) if group is None]
    return any(_OPEN.search(word) and not _ENGLISH.search(word) for word in unknown)


def _unglue(word: str) -> list[str] | None:
    """Split off an agent prefix or suffix, as in `axpost` or `post3d`; None if the rest is not made of known words."""
    for affix in _AFFIXES:
        for first in (True, False):
            rest = word[len(affix) :] if first else word[: -len(affix)]
            whole = word.startswith(affix) if first else word.endswith(affix)
            if not whole or len(rest) < (4 if len(affix) == 1 else 2) or (first and len(affix) == 1):
                continue
            pieces = _segment(rest, kind=True)
            if pieces and all(_is_sequence_word(piece) for piece in pieces):
                sign = "?" if len(affix) == 1 or affix == "plus" else affix
                return [sign, *pieces] if first else [*pieces, sign]
    return None


def _is_sequence_word(piece: str) -> bool:
    return bool({"neutral", "gradient", *KINDS} & set(LEXICON.get(piece, "").split())) or piece.isdigit()


def _split(chunk: str) -> list[str]:
    """Split a run of letters and digits into known words, or return it whole."""
    word = chunk.lower()
    counted = re.fullmatch(r"([a-z]+?)(\d+)", word)
    if word in LEXICON or word.isdigit():
        return [word]
    if re.fullmatch(r"\d+(post|pre)", word):
        return [word[: word.index("p")], "glued" + word[word.index("p") :]]
    prefix = re.match(r"[a-z]{1,3}(?=T[12]|FLAIR)", chunk)
    if prefix:
        return [prefix[0], *_split(chunk[prefix.end() :])]
    if counted and counted[1] in LEXICON:
        return ["glued" + counted[1], counted[2]] if counted[1] in ("post", "pre") else [counted[1], counted[2]]
    if "flair" in word:
        before, _, after = word.partition("flair")
        return [*filter(None, (before, "flair", after))]
    found = _segment(word, kind=False) if len(word) <= _MAX_WORD_LENGTH else None
    if found:
        kinds = [_names_kind(piece, LEXICON.get(piece, "")) for piece in found]
        return ["to" if word == "2" and any(kinds[:n]) and n + 1 < len(found) else word for n, word in enumerate(found)]
    unglued = _unglue(word) if len(word) <= _MAX_WORD_LENGTH else None
    if unglued:
        return unglued
    parts = _CAMEL.split(chunk)
    return [word] if len(parts) == 1 else [each for part in parts for each in _split(part)]


def _segment(word: str, *, kind: bool, last: str = "") -> list[str] | None:
    """Split a word completely into known words, one of which names a kind; None if that is impossible."""
    if not word:
        return [] if kind else None
    digits = re.match(r"\d+(?![a-z]?d)", word)
    if digits and last and not last[-1].isdigit() and not last.isdigit():
        rest = _segment(word[digits.end() :], kind=kind, last=digits[0])
        if rest is not None:
            return [digits[0], *rest]
    for length in range(len(word), 1, -1):
        piece = word[:length]
        group = LEXICON.get(piece)
        if group is None or group in _LOOSE or not (kind or length > 2 or piece in _SHORT | {"t1", "t2"}):
            continue
        rest = _segment(word[length:], kind=kind or _names_kind(piece, group), last=piece)
        if rest is not None:
            return [piece, *rest]
    return None


def _names_kind(piece: str, group: str) -> bool:
    return bool(KINDS & set(group.split())) or (group == "other" and len(piece) > 2)
