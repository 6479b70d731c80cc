-- Assignment of users to variations, as GrowthBook's SDKs have it. The vectors are those that it publishes for them.
SELECT seed, value, version, expected, decide.bucket(seed, value, version) AS bucket
  FROM (VALUES ('', 'a', 1, 0.22), ('', 'b', 1, 0.077), ('b', 'a', 1, 0.946), ('ef', 'd', 1, 0.652), ('asdf', '8952klfjas09ujk', 1, 0.549), ('', '123', 1, 0.011), ('', '___)((*":&', 1, 0.563),
               ('seed', 'a', 2, 0.0505), ('seed', 'b', 2, 0.2696), ('foo', 'ab', 2, 0.2575), ('foo', 'def', 2, 0.2019), ('89123klj', '8952klfjas09ujkasdf', 2, 0.124),
               ('90850943850283058242805', '123', 2, 0.7516), ('()**(%$##$%#$#', '___)((*":&', 2, 0.0128), ('abc', 'def', 99, NULL)) AS v (seed, value, version, expected);
SELECT decide.bucket('seed', 'a'), decide.bucket('seed', NULL), decide.bucket('🎉', 'é'), decide.bucket('a', 'b', 0), decide.bucket('a', 'b', -1);

-- ranges: coverage and weights, and what is done with those that are none
SELECT v.about, (SELECT string_agg(decide.choose_variation(b, v.coverage, v.weights)::text, ' ' ORDER BY b) FROM unnest(ARRAY[0, 0.2, 0.25, 0.4, 0.5, 0.6, 0.8, 0.9999, 1]) AS b) AS variations
  FROM (VALUES (1, 'halves', 1, '{0.5,0.5}'::float8[]), (2, 'coverage of a half', 0.5, '{0.5,0.5}'), (3, 'no coverage', 0, '{0.5,0.5}'), (4, 'coverage below 0', -0.2, '{0.5,0.5}'),
               (5, 'coverage above 1', 1.5, '{0.5,0.5}'), (6, 'four', 1, '{0.25,0.25,0.25,0.25}'), (7, 'uneven', 1, '{0.2,0.3,0.5}'), (8, 'uneven, coverage of a fifth', 0.2, '{0.2,0.3,0.5}'),
               (9, 'a sum below 1', 1, '{0.4,0.1}'), (10, 'a sum above 1', 1, '{0.7,0.6}'), (11, 'a sum of almost 1', 1, '{0.4,0.5999}'), (12, 'a weight of 0', 1, '{0.5,0,0.5}'),
               (13, 'a negative weight', 1, '{1.2,-0.2}'), (14, 'a weight that is no number', 1, '{NaN,0.5}'), (15, 'none', 1, '{}'), (16, 'no number', 'NaN', '{0.5,0.5}')) AS v (nr, about, coverage, weights) ORDER BY nr;
SELECT decide.choose_variation(NULL, 1, '{0.5,0.5}') AS unknown, decide.choose_variation('NaN', 1, '{0.5,0.5}') AS none;
SELECT decide.choose_variation(0.5, 1, '{0.5,NULL}');
-- many users, in shares as weighted
SELECT decide.choose_variation(decide.bucket('my-test', i::text), 0.8, '{0.5,0.3,0.2}') AS variation, count(*) FROM generate_series(1, 10000) AS i GROUP BY 1 ORDER BY 1;
