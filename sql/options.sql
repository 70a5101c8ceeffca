-- Options: what is checked when they are given.  No cluster is asked here.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
RESET client_min_messages;

-- servers
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodez 'x');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (bucket 'x');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes 'localhost');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes 'localhost:0');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes 'a:1,:2');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes 'a: 1');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes 'a b:1');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes '');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (r '0');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (r '-1');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (w '9');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (w 'two');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (r '2147483648');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (timeout '0');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (insert_mode 'upsert');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (r '2', r '2');
CREATE SERVER s FOREIGN DATA WRAPPER dynamo_fdw
  OPTIONS (nodes '127.0.0.1:1, 127.0.0.1:2', r '2', w '2', timeout '500',
           connect_timeout '100', insert_mode 'create', conflict_mode 'error',
           write_at 'statement');

-- user mappings have none
CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (password 'x');

-- tables and columns
CREATE FOREIGN TABLE t (key text, value text) SERVER s OPTIONS (bucket '');
CREATE FOREIGN TABLE t (key text, value text) SERVER s OPTIONS (nodes 'a:1');
CREATE FOREIGN TABLE t (k text OPTIONS (field 'kee'), value text) SERVER s;
CREATE FOREIGN TABLE t (k text OPTIONS (field 'key'), v jsonb OPTIONS (field 'value'))
  SERVER s OPTIONS (bucket 'b', insert_mode 'replace');
ALTER FOREIGN TABLE t OPTIONS (ADD r '1', DROP insert_mode);
ALTER FOREIGN TABLE t OPTIONS (ADD fetch_size '1');

-- what a table's columns can be is said when it is used
CREATE FOREIGN TABLE no_key (value text) SERVER s;
SELECT * FROM no_key;
CREATE FOREIGN TABLE two_keys (key text, k text OPTIONS (field 'key')) SERVER s;
SELECT * FROM two_keys;
CREATE FOREIGN TABLE stranger (key text, colour text) SERVER s;
SELECT * FROM stranger;
CREATE FOREIGN TABLE number_key (key numeric, value text) SERVER s;
SELECT * FROM number_key;
CREATE FOREIGN TABLE padded_key (key char(10), value text) SERVER s;
SELECT * FROM padded_key;
CREATE FOREIGN TABLE odd_clock (key text, vclock integer) SERVER s;
SELECT * FROM odd_clock;
-- a type of that name is not the type of the extension
CREATE SCHEMA another;
CREATE TYPE another.vclock AS (a integer, b text);
CREATE FOREIGN TABLE another_clock (key text, vclock another.vclock) SERVER s;
SELECT * FROM another_clock;
DROP FOREIGN TABLE another_clock;
DROP TYPE another.vclock;
DROP SCHEMA another;

-- settings
SET dynamo_fdw.insert_mode = 'upsert';
SET dynamo_fdw.r = 9;
SET dynamo_fdw.timeout = '2s';
SHOW dynamo_fdw.timeout;
RESET ALL;

-- EXPLAIN needs no cluster; reading does, and says so soon
EXPLAIN (COSTS OFF) SELECT * FROM t WHERE k = 'x';
SELECT * FROM t WHERE k = 'x';
\echo :LAST_ERROR_SQLSTATE

DROP SERVER s CASCADE;
