-- `own_name` and `own_picture` were set by the user and stand above what tokens say. `last_seen_at` is null where the user hides their presence.
alter table users
  add column own_name text, add column own_picture text, add column custom jsonb,
  add column hides_presence boolean, add column last_seen_at timestamptz;
