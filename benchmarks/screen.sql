-- The search and the score of `screen` for DuckDB; what is in double braces is filled in from its presets and its model.
-- asked: the inquiries; hot: the reference, with `sound` (Soundex of the surname), `day` (month and day) and `year`.

create or replace macro letters(x) as regexp_replace(upper(x), '[^A-Z]', '', 'g');
create or replace macro digits(u) as translate(
    left(u, 1) || translate(substr(u, 2), 'HW', ''), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', '01230120022455012623010202');
create or replace macro once(s) as regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
    regexp_replace(s, '1+', '1', 'g'), '2+', '2', 'g'), '3+', '3', 'g'), '4+', '4', 'g'), '5+', '5', 'g'), '6+', '6', 'g');
create or replace macro soundex(x) as
    left(letters(x), 1) || rpad(left(translate(substr(once(digits(letters(x))), 2), '0', ''), 3), 3, '0');
create or replace macro common(y) as y % 4 <> 0 or (y % 100 = 0 and y % 400 <> 0);

create or replace macro last_bits(a, b) as case
    when a = b then {{last exact}}
    when jaro_winkler_similarity(a, b) >= 0.92 then {{last close}}
    else {{last phonetic}} end;
create or replace macro first_bits(a, b) as case
    when a = b then {{first exact}}
    when jaro_winkler_similarity(a, b) >= 0.92 then {{first close}}
    when (length(a) = 1 or length(b) = 1) and left(a, 1) = left(b, 1) then {{first initial}}
    else {{first differs}} end;
create or replace macro date_bits(day_a, year_a, day_b, year_b) as case
    when day_a = day_b and year_a = year_b then {{DOB equal}}
    when day_a = day_b and abs(year_a - year_b) <= {{years}} then {{DOB years}}
    else {{DOB differs}} end;
create or replace macro sex_bits(a, b) as case
    when 'U' in (a, b) then 0 when a = b then {{SEX same}} else {{SEX differs}} end;
create or replace macro race_bits(a, b) as case
    when 'U' in (a, b) then 0 when a = b then {{RAC same}} else {{RAC differs}} end;
create or replace macro social_bits(a, b) as case
    when a is null or b is null then 0
    when a = b then {{SOC same}}
    when damerau_levenshtein(a, b) = 1 then {{SOC one_edit}}
    else {{SOC differs}} end;

create or replace view hits as
with sounds as (
    select last, soundex(last) as sound from (select distinct last from asked)
),
q as (
    select row, last, first, SEX, RAC, SOC, sound, substr(DOB, 5)::int as day, left(DOB, 4)::int as year
    from asked join sounds using (last)
),
named as (select * from q where SOC is null),
pairs as (
    select q.row, h.position, true as listed,
        q.last as last_a, h.last as last_b, q.first as first_a, h.first as first_b, q.SEX as sex_a, h.SEX as sex_b,
        q.RAC as race_a, h.RAC as race_b, q.SOC as social_a, h.SOC as social_b, q.day as day_a, h.day as day_b,
        q.year as year_a, h.year as year_b
    from q join hot h on q.SOC = h.SOC
    union all
    select q.row, h.position, false,
        q.last, h.last, q.first, h.first, q.SEX, h.SEX, q.RAC, h.RAC, q.SOC, h.SOC, q.day, h.day, q.year, h.year
    from named q join hot h
        on q.sound = h.sound and q.day = h.day and h.year between q.year - {{years}} and q.year + {{years}}
    where {{among}}
    union all
    select q.row, h.position, false,
        q.last, h.last, q.first, h.first, q.SEX, h.SEX, q.RAC, h.RAC, q.SOC, h.SOC, q.day, h.day, q.year, h.year
    from (select * from named where day in (228, 301) and common(year)) q
    join (select * from hot where day = 229) h
        on q.sound = h.sound and h.year between q.year - {{years}} and q.year + {{years}}
    where {{among}}
    union all
    select q.row, h.position, false,
        q.last, h.last, q.first, h.first, q.SEX, h.SEX, q.RAC, h.RAC, q.SOC, h.SOC, q.day, h.day, q.year, h.year
    from (select * from named where day = 229) q
    join (select * from hot where day in (228, 301) and common(year)) h
        on q.sound = h.sound and h.year between q.year - {{years}} and q.year + {{years}}
    where {{among}}
),
scored as (
    select row, position, listed,
        last_bits(last_a, last_b) + first_bits(first_a, first_b) + date_bits(day_a, year_a, day_b, year_b)
            + sex_bits(sex_a, sex_b) + race_bits(race_a, race_b) + social_bits(social_a, social_b) as bits
    from pairs
)
select row, position, listed, bits from scored
qualify row_number() over (partition by row order by listed desc, bits desc, position) <= {{hits}}
order by row, listed desc, bits desc, position;
