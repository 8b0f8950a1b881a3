@testable import Engine

/// A template and what jinja2 3.1.6 prints for it, with the settings of transformers' `apply_chat_template` and the
/// variables of `TemplateSamples.variables`.
struct TemplateSample {
  let template: String
  let output: String

  init(_ template: String, _ output: String) {
    self.template = template
    self.output = output
  }
}

enum TemplateSamples {
  /// What the samples' templates see; `x` and `q` are not defined.
  static let variables = #"""
    {"messages": [{"role": "user", "content": " Hi <b> "},
      {"role": "assistant", "content": "ok", "tool_calls": [
        {"function": {"name": "f", "arguments": {"x": 1, "y": [1.5, null, true], "z": "é\""}}}]}],
     "n": 7, "s": "Hello World", "l": [3, 1, 2], "d": {"b": 1, "a": 2, "C": 3}, "u": "naïve ß 日本",
     "words": ["b", "A", "c"]}
    """#

  static let whitespaceIsCutAsTheSettingsSay = [
    TemplateSample("  {% if true %}  \n  q\n  {% endif %}  \nend\n", "  \n  q\n  \nend"),
    TemplateSample("a\n  {% for i in [1, 2] %}\n    {{ i }}\n  {% endfor %}\nb\n\n", "a\n    1\n    2\nb\n"),
    TemplateSample("a\n  {%+ if true %}\n    x\n  {%- endif +%}\nb", "a\n      x\nb"),
    TemplateSample("a\n  {# c #}\nb\n {#- c #}\nd {# e -#}\n\n f", "a\nbd f"),
    TemplateSample("a\r\nb\r{{ 1 }}\r\n", "a\nb\n1"),
    TemplateSample("x {% if true %}y{% endif %}", "x y"),
    TemplateSample("{% raw %}\n  {{ x }}\n  {% endraw %}\nb", "\n  {{ x }}\nb"),
    TemplateSample("{{ '{%' }}{{ \"%}\" }}{{ '}}' }}{{ {'a': {'b': {}}}}}", "{%%}}}{'a': {'b': {}}}"),
    TemplateSample("a  {%- if true -%}\u{2003} b{% endif %}", "ab"),
  ]

  static let operatorsHavePythonsPrecedence = [
    TemplateSample(
      "{{ 1 + 2 * 3 ** 2 }} {{ -2 ** 2 }} {{ 2 ** -1 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 7.5 % -2 }}",
      "19 4 0.5 -4 2 3.5 -0.5"),
    TemplateSample(
      "{{ 'a' ~ 1 + 1 ~ none }} {{ 1 < 2 < 3 }} {{ 1 == 1.0 == true }} {{ 9 not in l }} {{ 'ell' in s }}",
      "a11None True True True True"),
    TemplateSample(
      "{{ not 1 == 2 and 3 or 4 }} {{ 0 or '' or none }} {{ 'a' * 3 + s | upper }} {{ 1 if x else 2 }}{{ "
        + "1 if x }}",
      "3 None aaaHELLO WORLD 2"),
    TemplateSample(
      "{{ -5 | abs }} {{ n is not none and n > 3 }} {{ 6 is divisibleby 3 }} {{ 1 is in [1] }} {{ not x "
        + "is defined }}",
      "5 True True True True"),
  ]

  static let slicesGoBothWays = [
    TemplateSample(
      "{{ s[::-1] }} {{ s[-3:] }} {{ s[10:0:-3] }} {{ u[1:5] }} {{ u[::-1] }} {{ s[50] }}",
      "dlroW olleH rld dooe aïve 本日 ß evïan "),
    TemplateSample(
      "{{ l[::-1] }} {{ l[:-1] }} {{ (1, 2, 3)[::2] }} {{ messages[::-1][0].role }} {{ l.0 }}",
      "[2, 1, 3] [3, 1] (1, 3) assistant 3"),
  ]

  static let valuesPrintAsInPython = [
    TemplateSample(
      "{{ [1, 'a', \"it's\", none, true, 1.0, {'a': (1,)}, '\\n\\u200bé'] }}",
      "[1, 'a', \"it's\", None, True, 1.0, {'a': (1,)}, '\\n\\u200bé']"),
    TemplateSample(
      "{{ 1e16 }} {{ 1e15 }} {{ 0.0001 }} {{ 1e-5 }} {{ 123456789.123 }} {{ 1e100 }} {{ -0.0 }}",
      "1e+16 1000000000000000.0 0.0001 1e-05 123456789.123 1e+100 -0.0"),
    TemplateSample(
      "{{ x }}{{ d }} {{ d.items() }} {{ {1: 'a', 1.0: 'b', true: 'c'} }} {{ range(3) }} {{ () }}",
      "{'b': 1, 'a': 2, 'C': 3} dict_items([('b', 1), ('a', 2), ('C', 3)]) {1: 'c'} range(0, 3) ()"),
    TemplateSample(
      "{{ d | tojson }} {{ messages[1].tool_calls | tojson }} {{ 'é<>&\\n' | tojson(ensure_ascii=true) }}",
      "{\"b\": 1, \"a\": 2, \"C\": 3} [{\"function\": {\"name\": \"f\", \"arguments\": {\"x\": 1, \"y\": "
        + "[1.5, null, true], \"z\": \"é\\\"\"}}}] \"\\u00e9<>&\\n\""),
    TemplateSample(
      "{{ {'a': [1, {}], 'b': []} | tojson(indent=2) }} {{ d | tojson(separators=(',', ':'), sort_keys=true) }}",
      "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n} {\"C\":3,\"a\":2,\"b\":1}"),
  ]

  static let filtersFollowJinja = [
    TemplateSample(
      "{{ l | sort }} {{ words | sort }} {{ words | sort(case_sensitive=true) }} {{ d | dictsort }} {{ "
        + "l | sum }} {{ words | max }}",
      "[1, 2, 3] ['A', 'b', 'c'] ['A', 'b', 'c'] [('a', 2), ('b', 1), ('C', 3)] 6 c"),
    TemplateSample(
      "{{ messages | map(attribute='role') | join(', ') }} {{ l | select('odd') | list }} {{ messages | "
        + "selectattr('tool_calls') | list | length }}",
      "user, assistant [3, 1] 1"),
    TemplateSample(
      "{{ x | default('a') }} {{ none | d('b', true) }} {{ '3.7' | int }} {{ 2.5 | round }} {{ 2.567 | "
        + "round(1, 'floor') }} {{ 'x' | float(2.5) }}",
      "a b 3 2.0 2.5 2.5"),
    TemplateSample(
      "{{ 'a\\nb\\n\\nc' | indent(2) }} {{ \"they're (x) foo-bar\" | title }} {{ 'foo bar baz qux' | truncate(9) "
        + "}} {{ '<a>' | e }}",
      "a\n  b\n\n  c They're (X) Foo-Bar foo... &lt;a&gt;"),
    TemplateSample(
      "{{ [1, 2, 3, 4, 5] | batch(2, 0) | list }} {{ [1, 2, 3] | slice(2) | list }} {{ ['a', 'A'] | unique "
        + "| list }} {{ 'abc' | replace('', '-', 2) }}",
      "[[1, 2], [3, 4], [5, 0]] [[1, 2], [3]] ['a'] -a-bc"),
  ]

  static let methodsFollowPython = [
    TemplateSample(
      "{{ ' a  b c '.split(none, 1) }} {{ 'aaa'.rsplit('aa', 1) }} {{ 'a\\r\\nb\\n'.splitlines() }} {{ "
        + "'a=b=c'.rpartition('=') }}",
      "['a', 'b c '] ['a', ''] ['a', 'b'] ('a=b', '=', 'c')"),
    TemplateSample(
      "{{ 'xxaxx'.strip('x') }} {{ s.find('o', 5) }} {{ s.startswith(('x', 'H')) }} {{ 'ab'.center(5, '*') "
        + "}} {{ '-5'.zfill(4) }} {{ s.swapcase() }}",
      "a 7 True **ab* -005 hELLO wORLD"),
    TemplateSample(
      "{{ '%s and %5.2f|%-4d|%04x' % ('a', 3.14159, 42, 255) }} {{ '{:>5}|{0!r}'.format('a') if false else "
        + "'{:*^7}|{:,}|{a[0]}'.format('d', 1234567, a=[1]) }}",
      "a and  3.14|42  |00ff ***d***|1,234,567|1"),
    TemplateSample(
      "{{ d.get('q', 5) }} {{ d.keys() | list }} {{ l.index(2) }} {{ 'x.py'.removesuffix('.py') }} {{ '²'.isdigit() "
        + "}}{{ '²'.isdecimal() }}",
      "5 ['b', 'a', 'C'] 2 x TrueFalse"),
  ]

  static let loopsKnowWhereTheyAre = [
    TemplateSample(
      "{% for m in messages %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.previtem is defined "
        + "}}{{ loop.cycle('a', 'b') }}{{ loop.revindex }};{% endfor %}",
      "1TrueFalseFalsea2;2FalseTrueTrueb1;"),
    TemplateSample(
      "{% for i in range(9) if i != 1 %}{% if i == 3 %}{% continue %}{% elif i == 6 %}{% break %}{% endif "
        + "%}{{ i }}/{{ loop.length }} {% else %}none{% endfor %}",
      "0/8 2/8 4/8 5/8 "),
    TemplateSample(
      "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a "
        + "+ b + c }}{% endfor %}{% for q in x %}{% else %}empty{% endfor %}",
      "b=1;a=2;C=3;6empty"),
  ]

  static let namesLiveInTheirBlocks = [
    TemplateSample("{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "4231"),
    TemplateSample("{% set ns = namespace(c=0) %}{% for i in l %}{% set ns.c = ns.c + i %}{% endfor %}{{ ns.c }}", "6"),
    TemplateSample("{% if n > 5 %}{% set q = 1 %}{% endif %}{{ q }}{% with q = 2 %}{{ q }}{% endwith %}{{ q }}", "121"),
    TemplateSample(
      "{% set x | upper | trim %} abc {% endset %}[{{ x }}]{% filter replace('a', 'b') %}banana{% endfilter %}",
      "[ABC]bbnbnb"),
    TemplateSample(
      "{% macro m(a, b=2) %}[{{ a }}{{ b }}{{ varargs }}]{% endmacro %}{{ m(1) }}{{ m(b=1, a=3) }}{{ m(1, "
        + "2, 3) }}",
      "[12()][31()][12(3,)]"),
    TemplateSample(
      "{% macro m(a) %}<{{ caller(a) }}>{% endmacro %}{% call(x) m(5) %}in {{ x }}{% endcall %}", "<in 5>"),
    TemplateSample(
      "{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}{% generation "
        + "%}g{{ n }}{% endgeneration %}",
      "3210g7"),
    TemplateSample(
      "{% set a, b = 1, 2 %}{{ a }}{{ b }}{{ dict(a=1, b=2) }}{{ range(10, 0, -3) | list }}{{ strftime_now('%d "
        + "%b %Y') }}",
      "12{'a': 1, 'b': 2}[10, 7, 4, 1]26 Jul 2024"),
  ]

  /// Templates and the error's message.
  static let errors = [
    TemplateSample("{{ x.y }}", "'x' is undefined"),
    TemplateSample("a\n{{ none.foo.x }}", "'None' has no attribute 'foo'"),
    TemplateSample("{{ messages[0].zz.y }}", "'dict object' has no attribute 'zz'"),
    TemplateSample("{{ messages[9].role }}", "list object has no element 9"),
    TemplateSample("\n\n{{ 'a' + 1 }}", "can only concatenate str (not \"int\") to str"),
    TemplateSample("{{ 1 / 0 }}", "division by zero"),
    TemplateSample("{{ [1] < 2 }}", "'<' not supported between instances of 'list' and 'int'"),
    TemplateSample("{{ l.append(1) }}", "access to attribute 'append' of 'list' object is unsafe."),
    TemplateSample("{{ d.update({}) }}", "access to attribute 'update' of 'dict' object is unsafe."),
    TemplateSample(
      "{{ range(1000000) | list }}",
      "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000)."),
    TemplateSample("{% set d.x = 1 %}", "cannot assign attribute on non-namespace object"),
    TemplateSample("{{ raise_exception('no ' ~ n) }}", "no 7"),
    TemplateSample("{{ s.__class__.x }}", "access to attribute '__class__' of 'str' object is unsafe."),
    TemplateSample("{{ 1 in s }}", "'in <string>' requires string as left operand, not int"),
    TemplateSample("{% for a, b in [(1,)] %}{% endfor %}", "not enough values to unpack (expected 2, got 1)"),
    TemplateSample("{{ x | tojson }}", "Object of type Undefined is not JSON serializable"),
    TemplateSample("{{ n() }}", "'int' object is not callable"),
  ]
}
