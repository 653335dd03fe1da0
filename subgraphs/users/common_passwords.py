"""Passwords that everybody tries first, lower case and without trailing digits or signs."""

from __future__ import annotations

_WORDS = """
password passwort passw0rd p@ssword p@ssw0rd pass word1 secret letmein welcome welcome1 admin administrator root
user guest login master qwerty qwertyu qwertyui qwertyuiop qwerty123 qwer qwer1234 qwe asdf asdfg asdfgh asdfghjk
asdfghjkl zxcv zxcvb zxcvbn zxcvbnm 1q2w3e 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qazxsw2 qazwsx qazwsxedc zaq12wsx q1w2e3r4
iloveyou ilove loveyou lovely love sunshine princess dragon monkey shadow superman batman football baseball
basketball soccer hockey michael jordan jennifer jessica ashley daniel thomas charlie computer internet samsung
google apple android iphone starwars whatever trustno trustno1 freedom flower cookie cheese summer winter spring
autumn hello hello123 hellohello abc abc123 abcd abcd1234 abcde abcdef abcdefg abcdefgh a1b2c3 a1b2c3d4 aa123456
test testtest test1234 tester testing temp temp1234 changeme change default access killer pepper ginger hunter
12345678 123456789 1234567890 0123456789 87654321 987654321 0987654321 11111111 00000000 12341234 11223344 112233
123123123 121212 12121212 147258369 159753 159357 741852963 789456123 98765432 13579 24682468 20202020 31415926
dkssud dkssudgktpdy tkfkdgo tkfkdgody qlalfqjsgh qlqjs ekrlwhs sarang saranghae korea seoul naver kakao daum
비밀번호 사랑해 사랑해요 안녕하세요 dure dure1234
"""

COMMON_PASSWORDS = frozenset(_WORDS.split())
