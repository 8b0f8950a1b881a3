"""What Jinja prints for the templates of `jinja.json`, under the settings of transformers' `apply_chat_template`.

    python3 Tests/Oracles/make_jinja.py Tests/Oracles/jinja.json

Needs jinja2 3.1.6. The file lists `[template, text]`, or `[template, null, error]`; the templates are written below.
"""

import json
import sys

from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

VARIABLES = {
    "users": [
        {"name": "Ann", "city": "NY", "age": 3, "tags": ["x"]},
        {"name": "bob", "city": "ca", "age": 1, "tags": []},
        {"name": "Cid", "city": "CA", "age": 3},
        {"name": "Dee", "age": 2, "city": "ny"},
    ],
    "tree": [
        {"t": "a", "c": [{"t": "b", "c": []}, {"t": "c", "c": [{"t": "d", "c": []}]}]},
        {"t": "e", "c": []},
    ],
    "long": "The quick-brown fox -- or was it a well-known dog--jumps over self-referential-words and "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.\n\n  Second paragraph, naïve ß 日本語 text  with  gaps ",
    "page": "<p class='x'>Main &raquo;\t<em>About</em> <!-- <b> --> 1 &lt; 2 &#38; &#x41; &eacute; &copy &AMP;</p> a < b",
    "deep": {
        "b": [1, 2, {"x": None, "a": "y" * 30}],
        "a": "word " * 30,
        "c": {"k": list(range(40)), "z": "line one\nline two is quite a bit longer than the other one was\n"},
    },
}

TEMPLATES = [
    "{% for g in users | groupby('city') %}{{ g.grouper }}={{ g.list | map(attribute='name') | join(',') }};{% endfor %}",
    "{% for city, us in users | groupby('city', case_sensitive=true) %}{{ city }}:{{ us | length }} {% endfor %}",
    "{{ users | groupby('age') | map(attribute=0) | list }}{{ (users | groupby('age'))[0][1][0].name }}",
    "{{ users | groupby('tags.0', default='none') | map(attribute='grouper') | list }}",
    "{{ [1, 2, 1] | groupby(0) }}",
    "{{ ['b', 'a', 'B'] | groupby(attribute='x', default=1) }}",
    "{{ users | groupby('city') | first | list }}|{{ (users | groupby('age') | first).list[0].name }}",
    "{{ 'a b/c?d=é&~' | urlencode }}|{{ {'a b': 1, 'c/d': 'é ~', 'n': none} | urlencode }}|{{ [('x', 'y z'), (1, 2)] | urlencode }}|{{ 5 | urlencode }}|{{ none | urlencode }}",
    "{{ [1] | urlencode }}",
    "{{ long | wordwrap(30) }}",
    "{{ long | wordwrap(12, break_on_hyphens=false) }}",
    "{{ long | wordwrap(20, false, '|') }}",
    "{{ long | wordwrap }}",
    "{{ 'a-b c--d e---f --g h-- x-yz ab-cd-ef 1-2 a1-b2 日本-語学 don''t-stop' | wordwrap(3) }}",
    "{{ 'ab-cd-ef gh-ij' | wordwrap(4) }}|{{ '----------' | wordwrap(3) }}|{{ 'a-----------' | wordwrap(4) }}|{{ '   lead' | wordwrap(4) }}|{{ '' | wordwrap(4) }}",
    "{{ 'x' | wordwrap(0) }}",
    "{{ 'a\t b\x0bc d' | wordwrap(3, wrapstring='/') }}",
    "{{ deep | pprint }}",
    "{{ users | pprint }}",
    "{{ long | pprint }}",
    "{{ [1, 'a', none, true, 1.5, (1,), (), [], {}, ''] | pprint }}|{{ 'short' | pprint }}|{{ 'q\\'s' | pprint }}",
    "{{ ('w' * 100) | pprint }}",
    "{{ [('word ' * 25), {'k' * 30: 'v' * 60, 1: 2}] | pprint }}",
    "{{ {'b': 1, 2: 3, none: 4, 'a': (1, 2)} | pprint }}",
    "{{ page | striptags }}|{{ '<a' | striptags }}|{{ 'a &nosemi b &amp c &ampx; &#0; &#x80; &#55296; &#xFFFFFFFF;' | striptags }}|{{ 5 | striptags }}|{{ '<!-- x' | striptags }}",
    "{{ [0, 1, 1.0, 2, 999, 1000, 1023, 1024, 12345678, 1e15, 1e30, '300', -5, 1.7] | map('filesizeformat') | list }}",
    "{{ [1023, 1024, 1048576, 1e30] | map('filesizeformat', true) | list }}{{ 'x' | filesizeformat }}",
    "{{ none | filesizeformat }}",
    "{{ {'class': 'a b', 'id': 1, 'no': none, 'e': '<\"&'} | xmlattr }}|{{ {'a': 1} | xmlattr(false) }}|{{ {} | xmlattr }}|",
    "{{ {'a b': 1} | xmlattr }}",
    "{% set c = cycler('odd', 'even', 3) %}{% for i in range(5) %}{{ c.next() }}-{{ c.current }} {% endfor %}{{ c.reset() }}{{ c.current }}{{ c.pos }}{{ c.items }}{{ c is callable }}{{ c is iterable }}",
    "{{ cycler() }}",
    "{% set j = joiner() %}{% set k = joiner('|') %}{% for i in range(3) %}{{ j() }}{{ i }}{{ k() }}{% endfor %}{{ j.used }}{{ j.sep }}{{ j is callable }}",
    "{% for n in tree recursive %}{{ loop.depth }}{{ loop.depth0 }}{{ loop.index }}{{ n.t }}{% if n.c %}({{ loop(n.c) }}){% endif %}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% for n in tree recursive %}{{ n.t }}{{ loop(n.c) }}{% else %}-{% endfor %}",
    "{% for n in tree if n.t != 'c' recursive %}[{{ n.t }}{{ loop(n.c) | upper }}]{% endfor %}",
    "{% set x = 1 %}{% for n in tree recursive %}{% set y = n.t %}{{ x }}{{ y }}{{ loop(n.c) }}{{ y }} {% endfor %}",
    "{% for n in tree recursive %}{% if n.t == 'c' %}{% continue %}{% endif %}{{ n.t }}{{ loop(n.c) }}{% if n.t == 'a' %}{% break %}{% endif %}{% endfor %}",
    "{% for n in tree %}{{ loop(n.c) }}{% endfor %}",
    "{% for n in tree recursive %}{{ loop() }}{% endfor %}",
    "{% for n in tree recursive %}{{ loop is callable }}{{ loop }}{% break %}{% endfor %}",
    "{% set x = 5 %}{% block a %}A{{ x }}{% set x = 6 %}{{ x }}{% endblock a %}{{ x }}{{ self.a() }}",
    "{% for i in [1, 2] %}{% block b scoped %}{{ i }}{% endblock %}{% endfor %}",
    "{% for i in [1, 2] %}{% block b %}{{ i is defined }}{% endblock %}{% endfor %}",
    "{% block a %}1{% block c %}2{% endblock %}{% endblock %}{{ self.c() }}{{ self.a() | length }}{{ self.zz is defined }}",
    "{% block a %}{% endblock %}{% block a %}{% endblock %}",
    "{% block a %}{{ super() }}{% endblock %}",
    "{{ super is defined }}{% macro m(x) %}<{{ x }}>{% endmacro %}{% block a %}{{ m(3) }}{% endblock %}",
    "{% with z = 3 %}{% block a %}{{ z is defined }}{% endblock %}{% endwith %}",
    "{% if true %}{% set q = 7 %}{% endif %}{% block a %}{{ q }}{% endblock %}",
    "{% autoescape false %}{{ '<' }}{% set v = 1 %}{% endautoescape %}{{ v is defined }}",
    "{{ ('<a>' | e) + '<b>' }}|{{ '<' ~ ('<' | safe) ~ 1 }}|{{ '<' | e | e }}|{{ '<' | e | forceescape }}|{{ ('x' | safe) is escaped }}{{ 'x' is escaped }}|{{ ['<' | e, '<'] | join('<') }}",
    "{{ ('<' | safe) + ('>' | e) }}|{{ '<' + ('a' | safe) }}|{{ [('a' | e)] }}",
    "{{ users | map(attribute='city') | unique | list }}{{ users | selectattr('age', 'gt', 1) | map(attribute='name') | join }}",
    "{{ [[1, 2], [3]] | map('last') | list }}{{ [1, 2, 3, 4] | batch(3, '-') | list }}{{ 'a b' | title | replace(' ', '') }}",
    "{{ dict(a=1) | items | list }}{{ {'b': 2, 'a': 1} | dictsort(reverse=true) }}{{ 3.14159 | round(2) }}",
    "{{ 1 }}",
    "{{ [3, 1] | sort | join('-') ~ (none | default('d', true)) ~ ('x' | center(5)) ~ '|' ~ (1234.5 | int) }}",
]


def main(path):
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    rows = []
    for template in TEMPLATES:
        try:
            rows.append([template, environment.from_string(template).render(**VARIABLES)])
        except Exception as error:
            rows.append([template, None, str(error)])
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"variables": VARIABLES, "rows": rows}, file, ensure_ascii=False, indent=1)
        file.write("\n")


main(sys.argv[1])
