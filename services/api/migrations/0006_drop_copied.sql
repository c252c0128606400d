insert into events (group_id, seq, id, type, payload, effect, created_at)
select group_id, seq, id, type, payload, effect, created_at from events_0003 e
where type <> 'new-message'
  and not exists (select 1 from messages m where m.group_id = e.group_id and m.seq = e.seq);
--;;
-- No position is given twice, whatever the tables have.
update groups g set floor_seq = g.seq
where g.seq > 0
  and not exists (select 1 from messages m where m.group_id = g.id and m.seq = g.seq)
  and not exists (select 1 from events e where e.group_id = g.id and e.seq = g.seq);
--;;
drop table events_0003, messages_0003;
--;;
drop index groups_backlog;
--;;
alter table groups
  drop column active_at, drop column seq, drop column dispatched_seq, drop column lease_owner, drop column lease_token,
  drop column lease_until, drop column attempts, drop column retry_at;
