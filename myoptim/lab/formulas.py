"""Formulas as they stand in the comments of a rule: parsed, evaluated, and typeset.

How a formula comment is written
================================

A formula stands in the comment that trails its statement, and says what that statement does. What
the letters stand for is said in the first paragraph of the rule's docstring.

**Statements.** ::

    exp_avg.lerp_(grad, 1 - beta1)  #   m ← β₁ m + (1 − β₁) g        changes what m stands for
    delta = acc.sqrt().div_(root)  #    Δ = √a / √(v + ε)            makes a value and names it
    root = v.sqrt().add_(eps)  #        √v + ε                       makes a value without a name
    buffer.mul_(momentum)  #            b ← μ b                      a formula over two statements:
    buffer.add_(grad)  #                    + g                        it begins with «+ » or «− »

Letters on the right of ← mean the values before the statement (of the first one, where a formula
goes on over several). Everything that a statement changes stands on the left of an ←. A name given
by = keeps its value until an ← changes it. Beside `return`, ← says which gradient the caller
goes on with. Left of = may also stand the root of a name: √v̂ = ….
A statement without a formula may only rename: `beta1, beta2 = betas`, `update = grad`.

**After a comma** may follow a remark in words, which is not read: «b ← g, undamped». One is: «, as
v» or «, and use it as v» says that the letter v means this value from here on, until the end of
the rule.

**Signs.** + − · / ^ ( ) [ ], √ ‖x‖ |x|, ² ³ ᵗ ⁻¹ and other superscripts, ᵀ (transposed), @ (the
product of matrices). Signs side by side are multiplied: «μ b», «(1 − τ) g». Right of / stands one
factor, and what is multiplied after it stands behind a ·: «a b / c», «a / (b c)» or «a / b · c»,
never «a / b c» or «a / b / c». √ reaches over
one letter, number or bracket: √v, √(v + ε), (√v)². Functions: max(a, b), min(a, b), clip(x, low,
high), sign(x), exp(x), log(x), tanh(x), sum(x), mean(x), or with the dimension as in the code
mean(x, −1). A word of capitals before a bracket is a function of the code's own, which the
docstring names: RMS(θ). What it takes besides is the rule's own of the same name. Numbers: 0.5, ½,
1e-8.

**Cases.** «f = a where s > 0, b where s < 0, else 1»; conditions may be joined by «and», «or». For
an ← without else: «g ← 0 where s < 0» leaves the others as they are.

**Names.** One letter, Latin or Greek, with marks over it (m̂, v̄, ã, ẋ), primes (η′), subscripts
(β₁, t₀, θₖ, ρ∞), a last ⁺ or ⁻ (η⁺). Or, spelt out, the name of an argument or variable:
lr_decay. In a pair of two letters these are two factors only with a space between them: «a b».

**The docstring** of the rule says in its first paragraph what the letters stand for, after a colon
and between commas or semicolons: «θ = param, g = grad, (β₁, β₂) = betas, v̄ = max_exp_avg_sq (with
amsgrad)». A letter that abbreviates a formula is explained there too: «m̂ = m / (1 − β₁ᵗ)»; it means
the formula with the values at the place where it is used. A function of the code's own is named as
«RMS = root_mean_square», and proven for itself if it has formulas. An argument that has no letter
goes by its own name.

**Other comments.** A comment in a line of its own, or after `if`, `else`, `for`, is free. What
follows a second # in a trailing comment is for tools: `# θ ← θ − η g  # noqa: X`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

SUPERSCRIPTS = dict(
    zip(
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵝᵞᵟ",
        "0123456789+−abcdefghijklmnoprstuvwxyzβγδ",
        strict=True,
    )
)
SUBSCRIPTS = dict(
    zip("₀₁₂₃₄₅₆₇₈₉₊₋ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧ", "0123456789+−aehijklmnoprstuvxβγ", strict=True)
)
FRACTIONS = {"½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4)}
#: How many arguments each function takes, at least and at most.
FUNCTIONS = {
    "max": (2, 9),
    "min": (2, 9),
    "clip": (3, 3),
    "sign": (1, 1),
    "exp": (1, 1),
    "log": (1, 1),
    "tanh": (1, 1),
    "sum": (1, 2),
    "mean": (1, 2),
}
_SPELLINGS = str.maketrans({"-": "−", "µ": "μ", "*": "·", "×": "·", "⋅": "·", "∙": "·"})
_TOKEN = re.compile(
    r"(?P<number>\d+(?:\.\d+)?(?:e[−+]?\d+)?|[½⅓⅔¼¾])"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]+)"
    r"|(?P<symbol>[^\W\d_ᵀ⁰¹²³⁴-⁹⁺⁻ᵃ-ᵿⁱʰʲˡʳˢʷˣʸⁿᶜᶠᶻ]"
    rf"[\u0300-\u036f]*[′″]*[{''.join(SUBSCRIPTS)}∞]*(?:[⁺⁻](?![{''.join(SUPERSCRIPTS)}]))?)"
    r"|(?P<transposed>ᵀ)"
    rf"|(?P<superscript>[{''.join(SUPERSCRIPTS)}]+)"
    r"|(?P<sign>[←=+−·/()\[\]|‖√,^<>≤≥≠@])"
    r"|(?P<space>\s+)"
)
_COMPARISONS = "<>≤≥=≠"
_CLOSING = {"(": ")", "[": "]"}


class FormulaError(ValueError):
    """A formula that cannot be read; the message shows it, what is wrong, and where."""


# --------------------------------------------------------------------------- what is parsed


@dataclass(frozen=True)
class Number:
    """A number, as it is written."""

    text: str


@dataclass(frozen=True)
class Symbol:
    """A letter with its marks and subscripts, or a name that is spelt out."""

    name: str


@dataclass(frozen=True)
class Call:
    """A function of `FUNCTIONS` or in capitals; or sqrt, abs, norm, transpose, matmul."""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Power:
    """A base to an exponent."""

    base: Expression
    exponent: Expression


@dataclass(frozen=True)
class Product:
    """Two or more factors."""

    factors: tuple[Expression, ...]


@dataclass(frozen=True)
class Quotient:
    """A fraction."""

    above: Expression
    below: Expression


@dataclass(frozen=True)
class Sum:
    """Terms, each with its sign; a single one with a minus is a negative value."""

    terms: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True)
class Comparison:
    """Two values and a sign of comparison between them, or two conditions with "and" or "or"."""

    sign: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Cases:
    """The first value whose condition is true, or else the last one; None: what was there."""

    cases: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None


Expression: TypeAlias = (
    Number | Symbol | Call | Power | Product | Quotient | Sum | Comparison | Cases
)


@dataclass(frozen=True)
class Formula:
    """What a comment says about its statement.

    Attributes:
        text: the comment.
        target: what is changed or named; None: the statement makes a value without a name.
        changes: whether the target is changed (←), not named (=).
        value: what it becomes.
        alias: the symbol that means this value from here on, or None.
        remark: words after the formula, which are not read.
    """

    text: str
    target: Expression | None
    changes: bool
    value: Expression
    alias: str | None = None
    remark: str = field(default="", compare=False)

    @property
    def latex(self) -> str:
        """The formula for TeX, without dollar signs; a remark in words as text."""
        sign = r" \leftarrow " if self.changes else " = "
        left = "" if self.target is None else latex(self.target) + sign
        if self.alias is not None:
            return f"{left}{latex(self.value)} =: {latex(Symbol(self.alias))}"
        words = rf"\text{{, {self.remark}}}" if self.remark else ""
        return left + latex(self.value) + words


# --------------------------------------------------------------------------- parsing


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


def normalized(text: str) -> str:
    """The text with one spelling for each sign: marks apart from letters, − for a hyphen."""
    apart = unicodedata.normalize("NFD", text).replace("=\u0338", "≠")  # a sign, not a marked =
    return apart.translate(_SPELLINGS)


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _error(text, place, f"{text[place]!r} is not a sign of formulas")
        if match.lastgroup != "space":
            yield _Token(match.lastgroup or "", match.group(), place)
        place = match.end()
    yield _Token("end", "", len(text))


def _error(text: str, place: int, what: str) -> FormulaError:
    return FormulaError(f"in the formula «{text}», at «{text[place:]}»: {what}")


class _Parser:
    """A recursive descent over one text: each method reads one rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.next = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.next]

    def take(self) -> _Token:
        self.next += 1
        return self.tokens[self.next - 1]

    def at(self, *texts: str) -> bool:
        return self.token.text in texts

    def error(self, what: str) -> FormulaError:
        return _error(self.text, self.token.place, what)

    def expect(self, text: str) -> None:
        if not self.at(text):
            raise self.error(f"expected «{text}»")
        self.take()

    def formula(self) -> tuple[Expression | None, bool, Expression]:
        """The target, whether it is changed, and the value."""
        value = self.sum()
        target = None
        changes = self.at("←")
        if self.at("←", "="):
            self.take()
            self.check_target(value, changes)
            target, value = value, self.sum()
        elif self.at(*_COMPARISONS):
            value = self.comparison_after(value)
        if self.at("where"):
            value = self.cases(value)
        self.expect_end()
        return target, changes, value

    def check_target(self, target: Expression, changes: bool) -> None:
        if isinstance(target, Call) and target.function == "sqrt" and not changes:
            target = target.arguments[0]
        if not isinstance(target, Symbol):
            raise self.error("left of ← stands one name, left of = one name or the root of one")

    def expect_end(self) -> None:
        if self.token.kind != "end":
            raise self.error(
                "a formula ends here, or goes on with a sign or a remark after a comma"
            )

    def cases(self, value: Expression) -> Cases:
        found: list[tuple[Expression, Expression]] = []
        while True:
            self.expect("where")
            found.append((value, self.condition()))
            if not self.at(","):
                return Cases(tuple(found), None)
            self.take()
            if self.at("else"):
                self.take()
                return Cases(tuple(found), self.sum())
            value = self.sum()

    def condition(self) -> Expression:
        condition = self.comparison_after(self.sum())
        while self.at("and", "or"):
            word = self.take().text
            condition = Comparison(word, condition, self.comparison_after(self.sum()))
        return condition

    def comparison_after(self, left: Expression) -> Comparison:
        if not self.at(*_COMPARISONS):
            raise self.error(f"expected one of {' '.join(_COMPARISONS)}")
        return Comparison(self.take().text, left, self.sum())

    def sum(self) -> Expression:
        terms: list[tuple[str, Expression]] = []
        sign = self.take().text if self.at("+", "−") else "+"
        terms.append((sign, self.product()))
        while self.at("+", "−"):
            terms.append((self.take().text, self.product()))
        return terms[0][1] if len(terms) == 1 and sign == "+" else Sum(tuple(terms))

    def product(self) -> Expression:
        factors = [self.factor()]
        while True:
            if self.at("·"):
                self.take()
                factors.append(self.factor())
            elif self.at("@"):
                self.take()
                factors.append(Call("matmul", (factors.pop(), self.factor())))
            elif self.starts_a_factor():
                factors.append(self.factor())
            else:
                break
        product = factors[0] if len(factors) == 1 else Product(tuple(factors))
        while self.at("/"):
            self.take()
            product = Quotient(product, self.factor())
            while self.at("·"):
                self.take()
                product = Product((product, self.factor()))
            if self.at("@") or self.starts_a_factor():
                raise self.error("one factor stands right of /: write a b / c, or a / (b c)")
            if self.at("/") and isinstance(product, Quotient):
                raise self.error("one factor stands right of /: write a / (b c)")
        return product

    def starts_a_factor(self) -> bool:
        if self.at("where", "else", "and", "or"):
            return False
        if self.at("|", "‖"):  # the closing one ends what is between
            return not self.is_open(self.token.text)
        return self.token.kind in ("number", "word", "symbol") or self.at("(", "[", "√")

    def is_open(self, bar: str) -> bool:
        return sum(token.text == bar for token in self.tokens[: self.next]) % 2 == 1

    def factor(self) -> Expression:
        if self.at("√"):
            self.take()
            root = Call("sqrt", (self.atom(),))
            if self.at("^") or self.token.kind in ("superscript", "transposed"):
                raise self.error("write (√x)² or √(x²)")
            return root
        factor = self.atom()
        while True:
            if self.token.kind == "superscript":
                exponent = "".join(SUPERSCRIPTS[sign] for sign in self.take().text)
                factor = Power(factor, _Parser(exponent).only_sum())
            elif self.token.kind == "transposed":
                self.take()
                factor = Call("transpose", (factor,))
            elif self.at("^"):
                self.take()
                factor = Power(factor, self.atom())
            else:
                return factor

    def only_sum(self) -> Expression:
        value = self.sum()
        self.expect_end()
        return value

    def atom(self) -> Expression:
        token = self.take()
        if token.kind == "number":
            return Number(token.text)
        if token.kind == "symbol":
            return Symbol(token.text)
        if token.kind == "word":
            is_call = token.text in FUNCTIONS or (token.text.isupper() and self.at("("))
            return self.call(token.text) if is_call else Symbol(token.text)
        if token.text in _CLOSING:
            value = self.sum()
            self.expect(_CLOSING[token.text])
            return value
        if token.text in ("|", "‖"):
            value = self.sum()
            self.expect(token.text)
            return Call("abs" if token.text == "|" else "norm", (value,))
        self.next -= 1
        raise self.error("expected a name, a number, a root, a function or a bracket")

    def call(self, function: str) -> Call:
        least, most = FUNCTIONS.get(function, (1, 9))
        self.expect("(")
        arguments = [self.sum()]
        while self.at(","):
            self.take()
            arguments.append(self.sum())
        if not least <= len(arguments) <= most:
            allowed = f"{least}" if least == most else f"{least} to {most}"
            raise self.error(f"{function} takes {allowed} arguments, not {len(arguments)}")
        self.expect(")")
        return Call(function, tuple(arguments))


def parse(text: str) -> Formula:
    """Parse a formula comment; how one is written stands at the top of this module.

    Raises:
        FormulaError: it is not written so; the message says where and what was expected.

    >>> print(parse("m ← β₁ m + (1 − β₁) g").latex)
    m \\leftarrow \\beta_{1} m + (1 - \\beta_{1}) g
    """
    head, remark = _split(normalized(text.strip()))
    alias = _ALIAS.fullmatch(remark)
    return Formula(head, *_Parser(head).formula(), alias.group(1) if alias else None, remark)


def continues(text: str) -> bool:
    """Whether a comment goes on with the formula of the statement before: «+ (1 − τ) g»."""
    return re.match(r"[+·/−] ", normalized(text.strip())) is not None


_ALIAS = re.compile(r"(?:and )?(?:use it |used )?as (\S+)")


def _split(text: str) -> tuple[str, str]:
    """A formula, and the remark in words after a comma that belongs to no function or case."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and depth == 0:
            rest = text[place + 1 :].strip()
            if not re.match(r"else |[^,]* where ", rest):
                return text[:place], rest
    return text, ""


# --------------------------------------------------------------------------- what letters mean


@dataclass(frozen=True)
class Letters:
    """What the letters of a rule's formulas stand for, as its docstring says.

    Attributes:
        arguments: for each letter the name of an argument, and which of its parts, or None.
        abbreviations: for each letter that abbreviates a formula, the formula.
        functions: for each word of capitals, the name of the code's function.
    """

    arguments: dict[str, tuple[str, int | None]]
    abbreviations: dict[str, Expression]
    functions: dict[str, str]

    def letter_of(self, argument: str) -> str:
        """The letter of an argument; its own name where it has none."""
        return next(
            (s for s, whole in self.arguments.items() if whole == (argument, None)), argument
        )


def read_letters(docstring: str, arguments: Iterable[str], more: bool = False) -> Letters:
    """What the first paragraph of a rule's docstring says of the letters in its formulas.

    Args:
        docstring: the rule's.
        arguments: the names of its arguments.
        more: whether it takes arguments of other names too; those that have letters are found.

    Raises:
        FormulaError: what is said cannot be read, or names no argument.

    >>> read_letters("A step: θ = param, (β₁, β₂) = betas.", ["param", "betas"]).arguments
    {'θ': ('param', None), 'β₁': ('betas', 0), 'β₂': ('betas', 1)}
    """
    letters = Letters({}, {}, {})
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    for clause in _clauses(normalized(paragraph.partition(":")[2])):
        left, equals, right = clause.partition(" = ")
        if not equals:
            continue
        name = re.sub(r" \([^()]*\)$", "", right)
        if re.fullmatch("[A-Z]{2,}", left) and name.isidentifier():
            letters.functions[left] = name
        elif name in arguments or (more and name.isidentifier()):
            letters.arguments.update(_letters_of(left, name))
        else:
            target, _, value = _Parser(clause).formula()
            if not isinstance(target, Symbol) or isinstance(value, Symbol):
                raise FormulaError(f"«{clause}» in the docstring: {right} is no argument")
            letters.abbreviations[target.name] = value
    return letters


def _clauses(text: str) -> Iterator[str]:
    """The parts between commas, semicolons and full stops that stand in no brackets."""
    start = depth = 0
    for place, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        ends = sign in ",;" or (sign == "." and text[place + 1 : place + 2] in ("", " "))
        if depth == 0 and ends:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()


def _letters_of(left: str, argument: str) -> dict[str, tuple[str, int | None]]:
    """The letter of an argument, or the letters of its parts: «θ», «(β₁, β₂)»."""
    names = [name.strip() for name in left.strip("()").split(",")]
    for name in names:
        if not isinstance(_Parser(name).only_sum(), Symbol):
            raise FormulaError(f"«{left} = {argument}» in the docstring: {name!r} is no letter")
    if left.startswith("("):
        return {name: (argument, index) for index, name in enumerate(names)}
    return {left: (argument, None)}


# --------------------------------------------------------------------------- typesetting

GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta",
    "η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu",
    "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "varphi",
    "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta",
    "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
    "ℓ": "ell",
}  # fmt: skip
MARKS = {
    "\u0302": "hat", "\u0304": "bar", "\u0303": "tilde", "\u0307": "dot",
    "\u0308": "ddot", "\u030c": "check", "\u0306": "breve", "\u20d7": "vec",
}  # fmt: skip
_SIGNS = {"≤": r"\le", "≥": r"\ge", "≠": r"\ne", "and": r"\land", "or": r"\lor"}
_FACTOR, _TERM, _SUM = 2, 1, 0


def latex(expression: Expression) -> str:
    """An expression for TeX, without dollar signs."""
    return _latex(expression)[0]


def _latex(node: Expression) -> tuple[str, int]:
    """TeX, and how tightly it binds."""
    match node:
        case Number(text):
            return _latex_number(text)
        case Symbol(name):
            return _latex_name(name), _FACTOR
        case Call(function, arguments):
            return _latex_call(function, [latex(argument) for argument in arguments])
        case Power(base, exponent):
            simple = isinstance(base, (Symbol, Number)) or _draws_its_own_bracket(base)
            below = latex(base) if simple else rf"\left({latex(base)}\right)"
            return f"{{{below}}}^{{{latex(exponent)}}}", _FACTOR
        case Product(factors):
            return _latex_product(factors), _TERM
        case Quotient(above, below):
            return rf"\frac{{{latex(above)}}}{{{latex(below)}}}", _FACTOR
        case Sum(terms):
            return _latex_sum(terms), _SUM
        case Comparison(sign, left, right):
            return f"{latex(left)} {_SIGNS.get(sign, sign)} {latex(right)}", _SUM
        case Cases(cases, otherwise):
            return _latex_cases(cases, otherwise), _FACTOR


def _draws_its_own_bracket(node: Expression) -> bool:
    return isinstance(node, Call) and node.function in ("abs", "norm")


def _latex_number(text: str) -> tuple[str, int]:
    if text in FRACTIONS:
        above, below = FRACTIONS[text]
        return rf"\tfrac{{{above}}}{{{below}}}", _FACTOR
    mantissa, e, exponent = text.partition("e")
    exponent = exponent.replace("−", "-").lstrip("+")
    return (rf"{mantissa} \cdot 10^{{{exponent}}}", _TERM) if e else (text, _FACTOR)


def _latex_name(name: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]+", name):
        return rf"\mathtt{{{name.replace('_', chr(92) + '_')}}}"
    letter = "\\" + GREEK[name[0]] if name[0] in GREEK else name[0]
    above = below = ""
    for sign in name[1:]:
        if sign in MARKS:
            letter = rf"\{MARKS[sign]}{{{letter}}}"
        elif sign in SUBSCRIPTS or sign == "∞":
            below += r"\infty" if sign == "∞" else _latex_letter(SUBSCRIPTS[sign])
        else:
            above += {"′": r"\prime", "″": r"\prime\prime"}.get(sign, SUPERSCRIPTS.get(sign, ""))
    return letter + (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")


def _latex_letter(letter: str) -> str:
    return "\\" + GREEK[letter] if letter in GREEK else letter


def _latex_call(function: str, arguments: list[str]) -> tuple[str, int]:
    first, listed = arguments[0], ", ".join(arguments)
    forms = {
        "sqrt": rf"\sqrt{{{first}}}",
        "abs": rf"\left|{first}\right|",
        "norm": rf"\left\lVert {first} \right\rVert",
        "transpose": rf"{{{first}}}^{{\top}}",
        "matmul": " ".join(arguments),
    }
    plain = rf"\operatorname{{{function}}}\left({listed}\right)"
    return forms.get(function, plain), _FACTOR


def _latex_product(factors: tuple[Expression, ...]) -> str:
    parts = [_latex(factor) for factor in factors]
    texts = [rf"({text})" if binds == _SUM else text for text, binds in parts]
    product = texts[0]
    for before, factor, text in zip(factors, factors[1:], texts[1:], strict=False):
        digits = isinstance(factor, Number) or (isinstance(before, Number) and text[0].isdigit())
        product += (r" \cdot " if digits else " ") + text
    return product


def _latex_sum(terms: tuple[tuple[str, Expression], ...]) -> str:
    text = ""
    for sign, term in terms:
        part, binds = _latex(term)
        part = f"({part})" if binds == _SUM else part
        sign = "-" if sign == "−" else "+"
        text += f" {sign} {part}" if text else (part if sign == "+" else f"-{part}")
    return text


def _latex_cases(
    cases: tuple[tuple[Expression, Expression], ...], otherwise: Expression | None
) -> str:
    lines = [rf"{latex(value)} & \text{{where }} {latex(condition)}" for value, condition in cases]
    if otherwise is not None:
        lines.append(rf"{latex(otherwise)} & \text{{else}}")
    return r"\begin{cases} " + r" \\ ".join(lines) + r" \end{cases}"
