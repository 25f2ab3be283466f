;; Refuses with "200 OK".
;;; pick
(call $refuse (i32.const 200) (i32.const 256) (i32.const 17))
