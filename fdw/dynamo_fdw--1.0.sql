/* dynamo_fdw 1.0 */
\echo Use "CREATE EXTENSION dynamo_fdw" to load this file. \quit

CREATE FUNCTION dynamo_fdw_handler() RETURNS fdw_handler
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION dynamo_fdw_validator(text[], oid) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FOREIGN DATA WRAPPER dynamo_fdw
    HANDLER dynamo_fdw_handler VALIDATOR dynamo_fdw_validator;

-- A causal context: the write events that somebody has seen.
CREATE TYPE vclock;
CREATE FUNCTION vclock_in(cstring) RETURNS vclock
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_out(vclock) RETURNS cstring
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_recv(internal) RETURNS vclock
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_send(vclock) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE TYPE vclock (
    INPUT = vclock_in, OUTPUT = vclock_out,
    RECEIVE = vclock_recv, SEND = vclock_send,
    STORAGE = extended
);

CREATE FUNCTION vclock_eq(vclock, vclock) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_ne(vclock, vclock) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_lt(vclock, vclock) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_le(vclock, vclock) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_gt(vclock, vclock) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_ge(vclock, vclock) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_cmp(vclock, vclock) RETURNS integer
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_hash(vclock) RETURNS integer
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_contains(vclock, vclock) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_contained(vclock, vclock) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_concurrent(vclock, vclock) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_union(vclock, vclock) RETURNS vclock
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vclock_to_jsonb(vclock) RETURNS jsonb
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE OPERATOR = (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_eq,
    COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel,
    HASHES, MERGES
);
CREATE OPERATOR <> (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_ne,
    COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel
);
-- An order for sorting and grouping, without causal meaning.
CREATE OPERATOR < (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_lt,
    COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel,
    JOIN = scalarltjoinsel
);
CREATE OPERATOR <= (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_le,
    COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel,
    JOIN = scalarlejoinsel
);
CREATE OPERATOR > (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_gt,
    COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel,
    JOIN = scalargtjoinsel
);
CREATE OPERATOR >= (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_ge,
    COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel,
    JOIN = scalargejoinsel
);
CREATE OPERATOR CLASS vclock_ops DEFAULT FOR TYPE vclock USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
    FUNCTION 1 vclock_cmp(vclock, vclock);
CREATE OPERATOR CLASS vclock_hash_ops DEFAULT FOR TYPE vclock USING hash AS
    OPERATOR 1 =, FUNCTION 1 vclock_hash(vclock);

-- Causality: a @> b when a has seen everything that b has seen.
CREATE OPERATOR @> (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_contains,
    COMMUTATOR = <@, RESTRICT = contsel, JOIN = contjoinsel
);
CREATE OPERATOR <@ (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_contained,
    COMMUTATOR = @>, RESTRICT = contsel, JOIN = contjoinsel
);
CREATE OPERATOR <>| (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_concurrent,
    COMMUTATOR = <>|
);
CREATE OPERATOR || (
    LEFTARG = vclock, RIGHTARG = vclock, FUNCTION = vclock_union,
    COMMUTATOR = ||
);
CREATE AGGREGATE vclock_merge(vclock) (
    SFUNC = vclock_union, STYPE = vclock, COMBINEFUNC = vclock_union,
    PARALLEL = safe
);
CREATE CAST (vclock AS jsonb) WITH FUNCTION vclock_to_jsonb(vclock);

-- A look inside.  What they show is the cluster's, not the transaction's.
CREATE FUNCTION dynamo_nodes(server name,
    OUT node text, OUT address text, OUT zone text, OUT status text,
    OUT slots integer, OUT first_slots integer, OUT answers boolean,
    OUT writable boolean, OUT version text, OUT uptime interval,
    OUT hints bigint, OUT building integer, OUT in_doubt boolean,
    OUT clock_skew interval)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 3;
CREATE FUNCTION dynamo_partitions(server name,
    OUT partition integer, OUT owners text[], OUT pairs integer,
    OUT pairs_verified integer, OUT last_verified_equal interval,
    OUT building text[])
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE FUNCTION dynamo_ring(server name,
    OUT partition integer, OUT slot integer, OUT node text, OUT address text,
    OUT fepoch bigint, OUT ver bigint)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE FUNCTION dynamo_stats(server name,
    OUT address text, OUT name text, OUT value bigint)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 100;
CREATE FUNCTION dynamo_owners(foreign_table regclass, key text,
    OUT partition integer, OUT slot integer, OUT node text, OUT address text,
    OUT state text, OUT versions integer, OUT context vclock)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 3;
CREATE FUNCTION dynamo_owners(foreign_table regclass, key bytea,
    OUT partition integer, OUT slot integer, OUT node text, OUT address text,
    OUT state text, OUT versions integer, OUT context vclock)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 3;
CREATE FUNCTION dynamo_conflicts(foreign_table regclass,
    OUT key text, OUT siblings integer, OUT context vclock)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
