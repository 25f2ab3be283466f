;; Gives a reason that is no text.
;;; module
(data (i32.const 1024) "\ff\fe\ff\fe")
;;; pick
(call $refuse (i32.const 503) (i32.const 1024) (i32.const 4))
