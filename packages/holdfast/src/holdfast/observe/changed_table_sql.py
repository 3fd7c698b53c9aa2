"""The query of `changed_table`: one DO block, for a transaction, for autocommit, and for any driver.

It reads the setting `holdfast.question` and writes `holdfast.answer`. plpgsql's variables outlive a block that is
rolled back; what the block did to the catalog, to settings and to locks does not.
"""

ASK = r"""
DO $holdfast$
DECLARE
  asked jsonb := current_setting('holdfast.question')::jsonb;
  path text := current_setting('search_path');
  lock_timeout_before CONSTANT text := current_setting('lock_timeout');
  clone text := asked ->> 'clone';
  told jsonb := '[]';
  answer jsonb;
  change jsonb;
  probe text;
  new_type text;
  gone text;
  one jsonb;
  node text;
  definition text;
  is_immutable boolean;
  is_authors boolean;  -- what runs is what the author has written
  of_table oid;
  of_indexes oid[];
BEGIN
  PERFORM set_config('lock_timeout', '500ms', true);  -- as brief_wait.py says
  FOR change IN SELECT jsonb_array_elements(asked -> 'changes') LOOP
    one := jsonb_build_object('column', change ->> 'column');
    probe := coalesce(change ->> 'using', quote_ident(change ->> 'column'));
    is_authors := false;
    BEGIN
      FOR new_type IN SELECT jsonb_array_elements_text(asked -> 'types') LOOP
        EXECUTE new_type;
      END LOOP;
      EXECUTE format('CREATE TEMP TABLE %s (LIKE %s INCLUDING ALL)',
        substr(clone, 9), asked ->> 'table');
      -- What the revision drops before is not in the way of the change.
      FOR gone IN
        SELECT CASE WHEN k.oid IS NULL THEN format('DROP INDEX %s', tried.oid::regclass)
          ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', clone, k.conname) END
        FROM (SELECT i.relname AS name, row_number() OVER (ORDER BY x.indexrelid) AS place
          FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
          WHERE x.indrelid = (asked ->> 'table')::regclass) AS named
        JOIN (SELECT indexrelid AS oid, row_number() OVER (ORDER BY indexrelid) AS place
          FROM pg_catalog.pg_index WHERE indrelid = clone::regclass) AS tried USING (place)
        LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = tried.oid AND k.contype IN ('p', 'u', 'x')
        WHERE asked -> 'dropped' ? named.name::text
      LOOP
        EXECUTE gone;
      END LOOP;
      -- What the expression is made of, with every name in full.
      is_authors := true;
      EXECUTE format('ALTER TABLE %s ADD CONSTRAINT "~probe" CHECK ((%s) IS NULL)', clone, probe);
      is_authors := false;
      PERFORM set_config('search_path', '', true);
      SELECT pg_get_constraintdef(oid), conbin::text INTO definition, node
        FROM pg_catalog.pg_constraint WHERE conname = '~probe' AND conrelid = clone::regclass;
      one := one || jsonb_build_object('probe', definition,
        'reads_whole_row', node ~ ':varattno 0 ',
        'reads_clock', node ~ 'SQLVALUEFUNCTION',
        -- Casts between text and enum are STABLE, but no setting of a session changes them.
        'is_of_texts', NOT node ~ ':(funcid|opfuncid|elemfuncid) [1-9]' AND (
          SELECT bool_and(typcategory IN ('S', 'E')) FROM pg_catalog.pg_type t WHERE t.oid IN (
            SELECT number[1]::oid FROM regexp_matches(
              node, ':(?:vartype|consttype|resulttype) (\d+)', 'g') AS m (number))),
        'functions', (SELECT coalesce(jsonb_agg(jsonb_build_object(
            'name', p.oid::regprocedure, 'volatility', provolatile,
            'is_built_in', pronamespace = 'pg_catalog'::regnamespace)), '[]')
          FROM pg_catalog.pg_proc p WHERE p.oid IN (SELECT number[1]::oid
            FROM regexp_matches(node, ':(?:funcid|opfuncid|elemfuncid) (\d+)', 'g') AS m (number)
            WHERE number[1] <> '0')));
      PERFORM set_config('search_path', path, true);
      EXECUTE format('ALTER TABLE %s DROP CONSTRAINT "~probe"', clone);
      SELECT pg_relation_filenode(clone::regclass), array_agg(pg_relation_filenode(indexrelid)
        ORDER BY indexrelid) INTO of_table, of_indexes
        FROM pg_catalog.pg_index WHERE indrelid = clone::regclass;
      is_authors := true;
      EXECUTE change ->> 'alter';
      is_authors := false;
      PERFORM set_config('search_path', '', true);
      SELECT one || jsonb_build_object(
          'rewrites', pg_relation_filenode(clone::regclass) IS DISTINCT FROM of_table,
          'new_type', format_type(atttypid, atttypmod),
          'is_of_texts', (one ->> 'is_of_texts')::boolean AND typcategory IN ('S', 'E'),
          'collation', CASE WHEN attcollation <> typcollation THEN (
            SELECT quote_ident(s.nspname) || '.' || quote_ident(l.collname)
            FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace s ON s.oid = collnamespace
            WHERE l.oid = attcollation) END,
          'default', CASE WHEN attgenerated = '' THEN pg_get_expr(adbin, adrelid) END,
          'compression', attcompression,
          'is_constrained_domain', (WITH RECURSIVE chain (oid) AS (
              SELECT atttypid UNION ALL
              SELECT typbasetype FROM chain JOIN pg_catalog.pg_type b USING (oid)
              WHERE typtype = 'd')
            SELECT EXISTS (SELECT FROM chain JOIN pg_catalog.pg_type b USING (oid)
              WHERE typtype = 'd' AND (typnotnull
                OR EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contypid = b.oid)))),
          'rebuilt_indexes', ARRAY(
            SELECT named.name FROM (
              SELECT i.relname AS name, row_number() OVER (ORDER BY x.indexrelid) AS place
              FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
              WHERE x.indrelid = (asked ->> 'table')::regclass
                AND NOT coalesce(asked -> 'dropped' ? i.relname::text, false)) AS named
            JOIN (
              SELECT pg_relation_filenode(indexrelid) AS file,
                row_number() OVER (ORDER BY place) AS place
              FROM (SELECT indexrelid, indexrelid AS place FROM pg_catalog.pg_index
                WHERE indrelid = clone::regclass) AS x) AS tried USING (place)
            WHERE of_indexes IS NOT NULL AND tried.file <> ALL (of_indexes)))
        INTO one
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = atttypid
        LEFT JOIN pg_catalog.pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = clone::regclass AND attname = change ->> 'column';
      RAISE EXCEPTION USING ERRCODE = 'HF000';
    EXCEPTION
      WHEN SQLSTATE 'HF000' THEN NULL;
      WHEN lock_not_available THEN RAISE;
      WHEN OTHERS THEN one := one || jsonb_build_object('error', SQLERRM,
        'is_postgresqls', is_authors);
    END;
    -- Steady: the same in every session. So is what may stand in a generated column.
    is_immutable := false;
    IF NOT one ? 'error' AND ((one ->> 'rewrites')::boolean OR one -> 'rebuilt_indexes' <> '[]') THEN
      BEGIN
        FOR new_type IN SELECT jsonb_array_elements_text(asked -> 'types') LOOP
          EXECUTE new_type;
        END LOOP;
        EXECUTE format('CREATE TEMP TABLE %s (LIKE %s)', substr(clone, 9), asked ->> 'table');
        EXECUTE format('ALTER TABLE %s ADD "~generated" %s GENERATED ALWAYS AS ((%s)::%s) STORED',
          clone, one ->> 'new_type', probe, one ->> 'new_type');
        RAISE EXCEPTION USING ERRCODE = 'HF000';
      EXCEPTION
        WHEN SQLSTATE 'HF000' THEN is_immutable := true;
        WHEN lock_not_available THEN RAISE;
        WHEN OTHERS THEN NULL;
      END;
    END IF;
    told := told || jsonb_build_array(one || jsonb_build_object(
      'is_steady', is_immutable OR coalesce((one ->> 'is_of_texts')::boolean, false),
      'has_using', change ->> 'using' IS NOT NULL));
  END LOOP;
  BEGIN
    PERFORM set_config('search_path', '', true);
    WITH t AS (
      SELECT c.*, c.oid::int8 AS number FROM pg_catalog.pg_class c
      WHERE c.oid = (asked ->> 'table')::regclass),
    changing AS (
      SELECT a.* FROM pg_catalog.pg_attribute a JOIN t ON attrelid = t.oid
      WHERE NOT attisdropped AND attname IN (
        SELECT jsonb_array_elements_text(asked -> 'columns'))),
    numbers AS (SELECT array_agg(attnum) AS those FROM changing),
    depending AS (
      SELECT d.*, a.attnum FROM pg_catalog.pg_depend d JOIN t ON d.refobjid = t.oid
      JOIN changing a ON a.attnum = d.refobjsubid
      WHERE d.refclassid = 'pg_catalog.pg_class'::regclass)
    SELECT jsonb_build_object(
      'table', json_build_object('schema', asked ->> 'schema', 'name', t.relname),
      'oid', t.number, 'is_table', t.relkind = 'r', 'is_typed', t.reloftype <> 0,
      'is_foreign', t.relkind = 'f', 'is_owned', pg_has_role(t.relowner, 'USAGE'),
      'inherits', EXISTS (SELECT FROM pg_catalog.pg_inherits
        WHERE inhrelid = t.oid OR inhparent = t.oid AND t.relkind <> 'p'),
      -- The columns of its partition key depend on the table itself.
      'partition_key', ARRAY(SELECT attname FROM changing WHERE EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = t.oid AND d.objsubid = attnum
          AND d.refclassid = d.classid AND d.refobjid = t.oid AND d.deptype = 'i')),
      'bytes', pg_table_size(t.oid), 'server_major', current_setting('server_version_num')::int / 10000,
      'row_type_used_by', (SELECT attrelid::regclass::text FROM pg_catalog.pg_attribute
        WHERE NOT attisdropped AND attrelid <> t.oid
          AND (atttypid = t.reltype OR atttypid = (SELECT typarray FROM pg_catalog.pg_type r
            WHERE r.oid = t.reltype AND typarray <> 0)) LIMIT 1),
      'columns', (SELECT jsonb_agg(jsonb_build_object(
          'name', attname, 'attnum', attnum, 'not_null', attnotnull, 'identity', attidentity,
          'is_generated', attgenerated <> '',
          'default', (SELECT pg_get_expr(adbin, adrelid) FROM pg_catalog.pg_attrdef
            WHERE adrelid = t.oid AND adnum = attnum),
          'not_null_name', (SELECT conname FROM pg_catalog.pg_constraint k
            WHERE conrelid = t.oid AND contype = 'n' AND conkey = ARRAY[attnum]),
          'statistics_target', CASE WHEN attstattarget >= 0 THEN attstattarget END,
          'options', coalesce(to_jsonb(attoptions), '[]'),
          'comment', col_description(t.oid, attnum),
          'grants', (SELECT coalesce(jsonb_agg(jsonb_build_object('privilege', privilege_type,
              'grantee', CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
              'is_grantable', is_grantable)), '[]') FROM aclexplode(attacl)))
          ORDER BY attnum) FROM changing),
      'generated', ARRAY(SELECT attname FROM pg_catalog.pg_attribute
        WHERE attrelid = t.oid AND attgenerated <> '' AND NOT attisdropped),
      'key', ARRAY(SELECT a.attname FROM pg_catalog.pg_index x,
          unnest(x.indkey::int2[]) WITH ORDINALITY AS k (number, place), pg_catalog.pg_attribute a
        WHERE x.indrelid = t.oid AND indisprimary AND a.attrelid = t.oid AND a.attnum = k.number
          AND k.place <= indnkeyatts ORDER BY k.place),
      'dependents', (SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_object(
          'what', pg_describe_object(d.classid, d.objid, d.objsubid),
          'identity', (SELECT identity FROM pg_identify_object(d.classid, d.objid, d.objsubid)))),
          '[]') FROM depending d
        WHERE NOT CASE d.classid
          WHEN 'pg_catalog.pg_class'::regclass THEN (SELECT relkind IN ('i', 'I')
              OR relkind = 'S' AND d.deptype IN ('a', 'i') FROM pg_catalog.pg_class r
            WHERE r.oid = d.objid)
          WHEN 'pg_catalog.pg_constraint'::regclass THEN (SELECT contype <> 't'
            FROM pg_catalog.pg_constraint k WHERE k.oid = d.objid)
          WHEN 'pg_catalog.pg_attrdef'::regclass THEN (SELECT adnum = d.attnum
            FROM pg_catalog.pg_attrdef f WHERE f.oid = d.objid)
          ELSE d.classid = 'pg_catalog.pg_statistic_ext'::regclass END),
      'triggers', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', tgname,
          'enabled', tgenabled, 'fires_on_update', tgtype & 16 <> 0,
          'is_ours', p.pronamespace IS NOT DISTINCT FROM to_regnamespace('holdfast')::oid)), '[]')
        FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = tgfoid
        WHERE tgrelid = t.oid AND NOT tgisinternal),
      'column_triggers', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', tgname,
          'definition', pg_get_triggerdef(g.oid), 'enabled', tgenabled,
          'is_constraint', tgconstraint <> 0) ORDER BY tgname), '[]')
        FROM pg_catalog.pg_trigger g, numbers WHERE tgrelid = t.oid AND NOT tgisinternal
          AND tgattr::int2[] && numbers.those),
      'has_update_rule', EXISTS (SELECT FROM pg_catalog.pg_rewrite
        WHERE ev_class = t.oid AND ev_type = '2'),
      'may_set_replica_role', has_parameter_privilege('session_replication_role', 'SET'),
      'hides_rows', t.relrowsecurity AND (t.relforcerowsecurity
          OR NOT pg_has_role(t.relowner, 'USAGE'))
        AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user),
      'published_by', (SELECT pubname FROM pg_catalog.pg_publication p
        WHERE puballtables
          OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r
            WHERE r.prpubid = p.oid AND r.prrelid = t.oid AND r.prattrs IS NULL)
          OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s
            WHERE s.pnpubid = p.oid AND s.pnnspid = t.relnamespace)
        ORDER BY pubname LIMIT 1),
      'not_valid', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', conname, 'condition',
          CASE contype WHEN 'c' THEN pg_get_expr(conbin, conrelid) ELSE (
            SELECT quote_ident(attname) || ' IS NOT NULL' FROM pg_catalog.pg_attribute
            WHERE attrelid = conrelid AND attnum = conkey[1]) END)), '[]')
        FROM pg_catalog.pg_constraint k WHERE conrelid = t.oid AND contype IN ('c', 'n')
          AND NOT convalidated AND to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false'),
      'checks', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', conname,
          'definition', pg_get_constraintdef(k.oid), 'is_validated', convalidated,
          'is_inherited', coninhcount > 0,
          'comment', obj_description(k.oid, 'pg_constraint')) ORDER BY conname), '[]')
        FROM pg_catalog.pg_constraint k, numbers WHERE conrelid = t.oid AND contype = 'c'
          AND conkey && numbers.those),
      'indexes', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', i.relname,
          'definition', pg_get_indexdef(x.indexrelid), 'is_unique', indisunique,
          'is_primary', indisprimary, 'is_clustered', indisclustered,
          'is_replica_identity', indisreplident, 'is_valid', indisvalid,
          'has_expressions', indexprs IS NOT NULL,
          'tablespace', (SELECT spcname FROM pg_catalog.pg_tablespace s
            WHERE s.oid = i.reltablespace),
          'constraint', k.conname, 'constraint_definition', pg_get_constraintdef(k.oid),
          'is_deferrable', coalesce(k.condeferrable, false),
          'is_exclusion', indisexclusion OR coalesce(to_jsonb(k) ->> 'conperiod' = 'true', false),
          'comment', obj_description(x.indexrelid, 'pg_class'),
          'constraint_comment', obj_description(k.oid, 'pg_constraint')) ORDER BY x.indexrelid), '[]')
        FROM numbers, pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
        LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = x.indexrelid
          AND k.conrelid = x.indrelid AND k.contype IN ('p', 'u', 'x')
        WHERE x.indrelid = t.oid AND (x.indkey::int2[] && numbers.those OR EXISTS (
          SELECT FROM depending d WHERE d.classid = 'pg_catalog.pg_class'::regclass
            AND d.objid = x.indexrelid))),
      'foreign_keys', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', conname,
          'table', json_build_object('schema', fs.nspname, 'name', f.relname),
          'references', json_build_object('schema', ps.nspname, 'name', p.relname),
          'of_partitioned', 'p' IN (f.relkind, p.relkind), 'is_own', k.conrelid = t.oid,
          'is_inherited', conparentid <> 0,
          'points_here', k.confrelid = t.oid AND k.confkey && numbers.those,
          'referenced', ARRAY(SELECT a.attname FROM unnest(confkey) WITH ORDINALITY
              AS key (number, place) JOIN pg_catalog.pg_attribute a ON a.attrelid = confrelid
              AND a.attnum = key.number ORDER BY key.place),
          'definition', pg_get_constraintdef(k.oid), 'is_validated', convalidated,
          'comment', obj_description(k.oid, 'pg_constraint'))
          ORDER BY fs.nspname, f.relname, conname), '[]')
        FROM numbers, pg_catalog.pg_constraint k JOIN pg_catalog.pg_class f ON f.oid = conrelid
        JOIN pg_catalog.pg_namespace fs ON fs.oid = f.relnamespace
        JOIN pg_catalog.pg_class p ON p.oid = confrelid
        JOIN pg_catalog.pg_namespace ps ON ps.oid = p.relnamespace
        WHERE contype = 'f' AND (conrelid = t.oid AND conkey && numbers.those
          OR confrelid = t.oid AND confkey && numbers.those)),
      'statistics', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', s.nspname,
          'name', stxname, 'definition', pg_get_statisticsobjdef(e.oid),
          'columns', ARRAY(SELECT attname FROM pg_catalog.pg_attribute
            WHERE attrelid = t.oid AND attnum = ANY (stxkeys)),
          'comment', obj_description(e.oid, 'pg_statistic_ext')) ORDER BY stxname), '[]')
        FROM pg_catalog.pg_statistic_ext e JOIN pg_catalog.pg_namespace s ON s.oid = stxnamespace
        WHERE stxrelid = t.oid AND EXISTS (SELECT FROM depending d
          WHERE d.classid = 'pg_catalog.pg_statistic_ext'::regclass AND d.objid = e.oid)),
      'sequences', (SELECT coalesce(jsonb_agg(jsonb_build_object(
          'name', json_build_object('schema', s.nspname, 'name', q.relname),
          'column', a.attname, 'is_identity', d.deptype = 'i', 'type', format_type(seqtypid, NULL),
          'start', seqstart, 'increment', seqincrement, 'least', seqmin, 'greatest', seqmax,
          'cache', seqcache, 'cycles', seqcycle, 'comment', obj_description(q.oid, 'pg_class'),
          'grants', (SELECT coalesce(jsonb_agg(jsonb_build_object('privilege', privilege_type,
              'grantee', CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
              'is_grantable', is_grantable)), '[]')
            FROM aclexplode(q.relacl) WHERE grantee <> q.relowner)) ORDER BY q.relname), '[]')
        FROM depending d JOIN changing a ON a.attnum = d.refobjsubid
        JOIN pg_catalog.pg_class q ON q.oid = d.objid AND q.relkind = 'S'
        JOIN pg_catalog.pg_namespace s ON s.oid = q.relnamespace
        JOIN pg_catalog.pg_sequence ON seqrelid = q.oid
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')),
      'taken', ARRAY(SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = t.oid
        UNION SELECT relname FROM pg_catalog.pg_class r
          WHERE r.relnamespace = t.relnamespace AND relname ~ 'holdfast'
        UNION SELECT conname FROM pg_catalog.pg_constraint WHERE conname ~ 'holdfast'
        UNION SELECT stxname FROM pg_catalog.pg_statistic_ext WHERE stxname ~ 'holdfast'),
      'settings', (SELECT jsonb_object_agg(name, current_setting(name)) FROM unnest(ARRAY['TimeZone',
        'DateStyle', 'IntervalStyle', 'lc_monetary', 'lc_numeric', 'bytea_output',
        'extra_float_digits', 'xmloption', 'default_text_search_config']) AS name))
    INTO answer FROM t;
    RAISE EXCEPTION USING ERRCODE = 'HF000';
  EXCEPTION WHEN SQLSTATE 'HF000' THEN NULL;
  END;
  PERFORM set_config('lock_timeout', lock_timeout_before, true);
  PERFORM set_config('holdfast.answer', (answer || jsonb_build_object('changes', told))::text, false);
END $holdfast$
"""
