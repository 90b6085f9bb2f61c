-- Documents become the same jsonb as through its own input function, to the byte.
SELECT no_plan();
CREATE FOREIGN TABLE built (id text, _raw jsonb, contacts jsonb, addresses jsonb, custom jsonb)
    SERVER close OPTIONS ("table" 'close_leads');
-- Declared as text, a document goes through no hand of ours; the cast reads it with jsonb_in.
CREATE FOREIGN TABLE told (id text, _raw text, contacts text, addresses text, custom text)
    SERVER close OPTIONS ("table" 'close_leads');

SELECT is((SELECT count(*) FROM built b JOIN told t USING (id)
           WHERE record_image_eq(ROW(b._raw), ROW(t._raw::jsonb)) AND record_image_eq(ROW(b.contacts), ROW(t.contacts::jsonb))
             AND record_image_eq(ROW(b.addresses), ROW(t.addresses::jsonb)) AND record_image_eq(ROW(b.custom), ROW(t.custom::jsonb))),
          1000::bigint, 'every document of the table');

-- Numbers of every kind, names and texts with escapes, a repeated name, empty and deep containers.
\! $CTL fault '{"tool": "close_leads_list", "kind": "canned", "status": 200, "body": "{\"data\":{\"has_more\":false,\"data\":[{\"id\":\"lead_odd\",\"name\":\"n\",\"addresses\":[],\"z\":0,\"neg\":-0,\"negr\":-0.0,\"e\":1e5,\"em\":1E-7,\"u\":12345678901234567890,\"min\":-9223372036854775808,\"d18\":123456789012345678,\"d19\":1234567890123456789,\"m18\":-999999999999999999,\"r\":0.1,\"r1\":1.0,\"r2\":1.50,\"big\":1234567890123456789012345.5,\"huge\":1.7e308,\"\":\"empty name\",\"dup\":1,\"dup\":{\"a\":2},\"a\\\"b\":\"q\\\"uo\\\\te\",\"slash\":\"a\\/b\",\"ctl\":\"\\b\\f\\n\\r\\t\",\"u1\":\"\\u0001\\u001f\",\"A\":\"\\u0041\",\"uml\":\"\\u00e9 é 😀 \\ud83d\\ude00\",\"del\":\"\\u007f\",\"endslash\":\"x\\\\\",\"long\":\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\",\"bslong\":\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"ab\\\\cd\\\"\",\"o\":{},\"ar\":[],\"deep\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{\"k\":[1]}]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],\"mix\":[null,true,false,\"\",[{}],{\"x\":[]},-1,[[],[]]],\"bb\":{\"bb\":1,\"a\":2,\"ccc\":3,\"B\":4}, \"spaced\" : [ 1 , 2 ]}]},\"execution_id\":\"e\"}", "times": 2}'
CREATE TABLE kept_built AS SELECT id, _raw FROM built;
CREATE TABLE kept_told AS SELECT id, _raw FROM told;
SELECT is((SELECT count(*) FROM kept_built WHERE id = 'lead_odd'), 1::bigint, 'the odd row came');
SELECT is((SELECT b._raw FROM kept_built b), (SELECT t._raw::jsonb FROM kept_told t), 'an odd document');
SELECT ok((SELECT record_image_eq(ROW(b._raw), ROW(t._raw::jsonb)) FROM kept_built b, kept_told t), 'to the byte');
SELECT is((SELECT _raw -> 'dup' FROM kept_built), '{"a": 2}'::jsonb, 'the last of two members with one name');
SELECT is((SELECT _raw ->> 'endslash' FROM kept_built), 'x\', 'a backslash at the end');
SELECT is((SELECT _raw ->> 'ctl' FROM kept_built), E'\b\f\n\r\t', 'control characters');
SELECT is((SELECT _raw ->> 'A' FROM kept_built), 'A', 'an escape that needs none');
SELECT is((SELECT _raw ->> 'd19' FROM kept_built), '1234567890123456789', 'an integer of 19 digits');
SELECT * FROM finish();
