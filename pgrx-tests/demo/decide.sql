SELECT action, decision_id, reason FROM decide($1::text, 'home', $2::jsonb)
