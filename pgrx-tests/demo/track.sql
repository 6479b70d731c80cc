SELECT track(jsonb_build_object('event_id', $1::text, 'type', $2::text, 'user_id', $3::text, 'at', clock_timestamp(),
                                'surface', 'home', 'action', $4::text, 'decision_id', $5::uuid))
