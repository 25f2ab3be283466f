;; Refuses with the key as its reason; with no key, parks for 1 when it sees the key's hash, for 2 when it does not.
;;; configure
(call $needs (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
;;; pick
(if (local.get $has_key) (then (return (call $refuse (i32.const 418) (local.get $key) (local.get $key_len)))))
(call $verdict (i32.const 3) (if (result i32) (local.get $has_hash) (then (i32.const 1)) (else (i32.const 2))))
