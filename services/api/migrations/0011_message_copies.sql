-- Messages of clients that send by socket and by HTTP: one by each way is one message. A row is there while a copy may still come by the other way
-- (`way`: of the first one), or, with the `client_id` of the second one, while that may be repeated.
create table message_copies (
  group_id text not null,
  sender_id text not null,
  content_hash bytea not null,
  way text,
  client_id text,
  seq bigint not null,
  ends_at timestamptz not null,
  primary key (group_id, seq)
);
--;;
create index message_copies_by_content on message_copies (group_id, sender_id, content_hash, seq) where way is not null;
--;;
create index message_copies_by_client on message_copies (group_id, sender_id, client_id) where client_id is not null;
--;;
create index message_copies_by_end on message_copies (ends_at);
--;;
-- Saves messages as `save_messages` does, but those that are copies of one that came by the other way are `known`, at its `seq`: `ways` says
-- which way each came, or null. No two of one call may have the same group, sender and content and come by a way. Everything is decided under
-- the locks of the groups, of which each statement here sees what was committed before.
create function save_copies(
  waits boolean, group_ids text[], sender_ids text[], ids text[], client_ids text[], contents text[], attachment_lists text[],
  kinds text[], customs text[], ways text[], pair_within interval, repeat_within interval
) returns table (
  place bigint, outcome text, epoch text, seq bigint, created_at timestamptz,
  sender_name text, sender_picture text, sender_custom jsonb
)
language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  asked text;
  locked text[] := '{}';
  first_seq bigint;
  rest int[] := '{}';
  known_at bigint[] := array_fill(null::bigint, array[cardinality(ids)]);
  is_member boolean;
  now_is timestamptz;
begin
  for asked in select distinct g from unnest(group_ids) as g order by g loop
    if waits then
      perform pg_advisory_xact_lock(group_lock(asked));
      locked := locked || asked;
    elsif pg_try_advisory_xact_lock(group_lock(asked)) then
      locked := locked || asked;
    end if;
  end loop;
  now_is := clock_timestamp();
  for n in 1 .. cardinality(ids) loop
    if group_ids[n] <> all(locked) then
      continue;
    end if;
    first_seq := null;
    is_member := exists (select 1 from group_members where group_id = group_ids[n] and user_id = sender_ids[n])
      and exists (select 1 from groups where id = group_ids[n] and deleted_at is null);
    if is_member and client_ids[n] is not null then
      select c.seq into first_seq from message_copies c
      where c.group_id = group_ids[n] and c.sender_id = sender_ids[n] and c.client_id = client_ids[n] and c.ends_at > now_is limit 1;
    end if;
    -- A repeated message is known already, and no copy of another one.
    if is_member and first_seq is null and ways[n] is not null and not exists (
      select 1 from messages where client_ids[n] is not null and client_message_id is not null and group_id = group_ids[n]
        and (client_message_id, sender_id) >= (client_ids[n], sender_ids[n])
        and (client_message_id, sender_id) <= (client_ids[n], sender_ids[n])
    ) then
      select c.seq into first_seq from message_copies c
      where c.group_id = group_ids[n] and c.sender_id = sender_ids[n]
        and c.content_hash = sha256(convert_to(contents[n], 'UTF8')) and c.way <> ways[n] and c.ends_at > now_is
      order by c.seq limit 1;
      if first_seq is not null then
        if client_ids[n] is null then
          delete from message_copies c where c.group_id = group_ids[n] and c.seq = first_seq;
        else
          update message_copies c set way = null, client_id = client_ids[n], ends_at = now_is + repeat_within
          where c.group_id = group_ids[n] and c.seq = first_seq;
        end if;
      end if;
    end if;
    if first_seq is null then
      rest := rest || n;
    else
      known_at[n] := first_seq;
    end if;
  end loop;
  return query
  with saved as materialized (
    select s.*, rest[s.place::int] as n from save_messages(
      waits,
      (select array_agg(group_ids[r.n] order by r.place) from unnest(rest) with ordinality as r (n, place)),
      (select array_agg(sender_ids[r.n] order by r.place) from unnest(rest) with ordinality as r (n, place)),
      (select array_agg(ids[r.n] order by r.place) from unnest(rest) with ordinality as r (n, place)),
      (select array_agg(client_ids[r.n] order by r.place) from unnest(rest) with ordinality as r (n, place)),
      (select array_agg(contents[r.n] order by r.place) from unnest(rest) with ordinality as r (n, place)),
      (select array_agg(attachment_lists[r.n] order by r.place) from unnest(rest) with ordinality as r (n, place)),
      (select array_agg(kinds[r.n] order by r.place) from unnest(rest) with ordinality as r (n, place)),
      (select array_agg(customs[r.n] order by r.place) from unnest(rest) with ordinality as r (n, place))
    ) s
  ), noted as (
    insert into message_copies (group_id, sender_id, content_hash, way, seq, ends_at)
    select group_ids[n], sender_ids[n], sha256(convert_to(contents[n], 'UTF8')), ways[n], saved.seq, now_is + pair_within
    from saved where saved.outcome = 'saved' and ways[n] is not null
  )
  select n::bigint, saved.outcome, saved.epoch, saved.seq, saved.created_at,
    saved.sender_name, saved.sender_picture, saved.sender_custom from saved
  union all
  select k.n, 'known', g.epoch, k.seq, null, null, null, null
  from unnest(known_at) with ordinality as k (seq, n) join groups g on g.id = group_ids[k.n] where k.seq is not null;
  -- Those that have ended go as others come, some more each time: nothing is left to do at another time.
  delete from message_copies where ctid in (
    select ctid from message_copies where ends_at < now_is order by ends_at limit 2 * cardinality(ids) + 8 for update skip locked
  );
end $$;
